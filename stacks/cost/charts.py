"""Bars and a curve as SVG, for the page: a charting library would bring a megabyte of script to a page that is printed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from markupsafe import Markup

WIDTH, ROW, LABELS = 860, 24, 260
BEFORE, AFTER = "#9aa7b5", "#2b6cb0"


def bars(rows: Sequence[tuple[str, Decimal | None, Decimal, str]], title: str) -> Markup:
    """A row for each label: its value, and above it a thin grey bar for what it was before, where that is known."""
    most = max((max(before or Decimal(0), value) for _, before, value, _ in rows), default=Decimal(0)) or Decimal(1)
    room = WIDTH - LABELS - 130
    drawn = [_row(number, row, room / most) for number, row in enumerate(rows)]
    return _picture(len(rows) * ROW, title, drawn)


def _row(number: int, row: tuple[str, Decimal | None, Decimal, str], scale: Decimal) -> Markup:
    label, before, value, text = row
    top, length = number * ROW, round(value * scale, 1)
    old = Markup('<rect x="{}" y="{}" width="{}" height="4" fill="{}"/>').format(
        LABELS, top + 2, round((before or Decimal(0)) * scale, 1), BEFORE
    )
    return old + Markup(
        '<text x="{}" y="{}" text-anchor="end">{}</text>'
        '<rect x="{}" y="{}" width="{}" height="11" fill="{}"/><text x="{}" y="{}">{}</text>'
    ).format(LABELS - 8, top + 16, label, LABELS, top + 7, length, AFTER, LABELS + length + 8, top + 16, text)


def curve(points: Sequence[tuple[Decimal, Decimal, str]], title: str) -> Markup:
    """A line through x and y, with a text at each point."""
    height = 220
    most_x = max((x for x, _, _ in points), default=Decimal(0)) or Decimal(1)
    most_y = max((y for _, y, _ in points), default=Decimal(0)) or Decimal(1)
    places = [
        (round(40 + x / most_x * (WIDTH - 180), 1), round(height - 20 - y / most_y * (height - 50), 1), text)
        for x, y, text in points
    ]
    path = " ".join(f"{x},{y}" for x, y, _ in places)
    line = Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>').format(path, AFTER)
    marks = [
        Markup('<circle cx="{}" cy="{}" r="3" fill="{}"/><text x="{}" y="{}">{}</text>').format(
            x, y, AFTER, x + 6, y - 6, text
        )
        for x, y, text in places
    ]
    return _picture(height, title, [line, *marks])


def _picture(height: int, title: str, parts: Sequence[Markup]) -> Markup:
    head = Markup(
        '<svg role="img" viewBox="0 0 {} {}" width="100%" font-family="system-ui" font-size="12"><title>{}</title>'
    ).format(WIDTH, height, title)
    return head + Markup("").join(parts) + Markup("</svg>")
