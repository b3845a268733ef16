"""One self-contained HTML page that can be read, searched and printed: compliance, cost and review are shown so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1c2330 }
h1 { font-size: 1.6rem } h2 { margin-top: 2rem; font-size: 1.2rem }
table { border-collapse: collapse; width: 100%; margin: .7rem 0 } th, td { text-align: left; vertical-align: top;
padding: .3rem .6rem; border-bottom: 1px solid #dde3ea } th { background: #f3f6f9 } td.number { text-align: right }
.good { color: #12703c } .bad { color: #b3261e; font-weight: 600 } .unsure { color: #8a5a00 } .quiet { color: #69727d }
.tiles { display: flex; gap: 1rem; flex-wrap: wrap } .tile { border: 1px solid #dde3ea; border-radius: .5rem;
padding: .6rem 1rem } .tile b { display: block; font-size: 1.5rem }
@media print { body { margin: 0; font-size: 11px } tr { break-inside: avoid } h2 { break-after: avoid } }
"""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title><style>{{ style | safe }}</style></head><body>
<h1>{{ title }}</h1>
<p class="quiet">{{ subtitle }}</p>
<div class="tiles">{% for tile in tiles %}<div class="tile"><b class="{{ tile.tone }}">{{ tile.text }}</b>{{ tile.label }}</div>{% endfor %}</div>
{% for section in sections %}<h2>{{ section.title }}</h2>
{% if section.text %}<p>{{ section.text }}</p>{% endif %}{{ section.picture }}
{% if section.rows %}<table><thead><tr>{% for head in section.heads %}<th>{{ head }}</th>{% endfor %}</tr></thead><tbody>
{% for row in section.rows %}<tr>{% for cell in row %}<td class="{{ cell.tone }}">{{ cell.text }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>{% endif %}
{% endfor %}</body></html>
"""


@dataclass(frozen=True)
class Cell:
    """A text and how it is meant: good, bad, unsure, quiet, number, or nothing."""

    text: str
    tone: str = ""
    label: str = ""


@dataclass(frozen=True)
class Section:
    """A table under a heading, with a sentence and a picture (SVG of ours, put in as it is)."""

    title: str
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = field(default_factory=tuple)
    text: str = ""
    picture: Markup = field(default_factory=Markup)


def page(title: str, subtitle: str, tiles: Sequence[Cell], sections: Sequence[Section]) -> str:
    """The whole document; every text is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(PAGE).render(
        title=title, subtitle=subtitle, tiles=tiles, sections=sections, style=STYLE
    )
