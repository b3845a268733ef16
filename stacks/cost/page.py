"""An answer as one HTML page: totals, services, resources, what changed, every line with its source."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from stacks.cost.amounts import NOTHING, Range, dollars
from stacks.cost.charts import bars, curve
from stacks.cost.estimate import Estimate, Line
from stacks.cost.report import closing, ordered, quantity, signed, span
from stacks.html_page import Cell, Section, page

if TYPE_CHECKING:
    from stacks.cost.command import Answer

MOST_BARS = 20
TONES = {"priced": "good", "assumed": "unsure", "unpriced": "bad"}


def page_of(answer: Answer) -> str:
    """The whole document."""
    found = answer.estimate
    tiles = [
        Cell(dollars(found.total.expected), "", "expected a month"),
        Cell(f"{dollars(found.total.low)} – {dollars(found.total.high)}", "quiet", "low – high"),
        Cell(str(len(found.unpriced)), "bad" if found.unpriced else "good", "unpriced lines"),
    ]
    if answer.gate and answer.gate.budget:
        over = found.total.expected > answer.gate.budget
        share = f"{found.total.expected / answer.gate.budget:.0%}"
        tiles.append(Cell(share, "bad" if over else "good", f"of the budget of {dollars(answer.gate.budget)}"))
    if answer.delta:
        tiles.append(Cell(signed(answer.delta.amount), "", "by this change"))
    sections = [_bars("By service", found.by("service")), _bars("By resource", found.by("resource"))]
    if answer.delta:
        sections.insert(0, _changes(answer))
    if answer.growth:
        sections.append(_growth(answer))
    sections += [_lines(found), Section("What the sum rests on", text=" ".join(closing(answer)))]
    subtitle = f"List prices read on {found.prices_read}; low, expected and high by the usage file of the environment."
    return page(f"Cost of {found.stack}", subtitle, tiles, sections)


def _bars(title: str, sums: dict[str, Range]) -> Section:
    rows = [
        (name, None, amount.expected, f"{dollars(amount.expected)}") for name, amount in list(sums.items())[:MOST_BARS]
    ]
    left_out = len(sums) - len(rows)
    return Section(title, text=f"and {left_out} smaller ones" if left_out else "", picture=bars(rows, title))


def _changes(answer: Answer) -> Section:
    changes = answer.delta.changes if answer.delta else ()
    shown: list[tuple[str, Decimal | None, Decimal, str]] = [
        (
            change.resource,
            (change.before or NOTHING).expected,
            (change.after or NOTHING).expected,
            signed(change.amount),
        )
        for change in changes[:MOST_BARS]
    ]
    rows = [
        [Cell(change.resource), Cell(signed(change.amount), "number"), Cell("; ".join(change.reasons), "quiet")]
        for change in changes
    ]
    heads = ("resource", "difference", "meters")
    return Section("What changes", heads, rows, "Grey: before.", bars(shown, "before and after"))


def _growth(answer: Answer) -> Section:
    """What the planner's settings for fewer and more users cost."""
    rows = [
        [
            Cell(f"{found.load.users:,}", "number"),
            Cell(str(found.nodes), "number"),
            Cell(found.settings.database.instance_class),
            Cell(dollars(found.estimate.total.expected), "number"),
            Cell(dollars(found.cost_per_user), "number"),
        ]
        for found in answer.growth
    ]
    picture = curve([(Decimal(row.load.users), row.estimate.total) for row in answer.growth], "a month by users")
    text = "The planner's settings for so many users; line: expected, band: low to high."
    return Section("As it grows", ("users", "nodes", "database", "a month", "per user"), rows, text, picture)


def _lines(found: Estimate) -> Section:
    heads = (
        "resource",
        "service",
        "meter",
        "quantity",
        "unit price",
        "a month",
        "low … high",
        "how sure",
        "assumption",
        "source",
    )
    return Section("Every line", heads, [_line(line) for line in ordered(found)])


def _line(line: Line) -> list[Cell]:
    return [
        Cell(line.resource),
        Cell(line.service),
        Cell(line.usage_type),
        Cell(quantity(line), "number"),
        Cell("" if line.price is None else f"${line.price.normalize():.6g}", "number"),
        Cell(dollars(line.cost.expected) if line.cost else "unpriced", "number"),
        Cell(span(line.cost) if line.cost else "", "quiet"),
        Cell(line.confidence, TONES[line.confidence]),
        Cell(line.assumption),
        Cell(line.source, "quiet"),
    ]
