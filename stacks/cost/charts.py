"""Bars and a curve as SVG, for the page: a charting library would bring a megabyte of script to a page that is printed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from markupsafe import Markup

from stacks.cost.amounts import Range

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


def curve(points: Sequence[tuple[Decimal, Range]], title: str) -> Markup:
    """Amounts along x: a line of what is expected, in a band from low to high; x below, the amount at each point."""
    height, left, right, base = 260, 40, WIDTH - 90, 230
    most_x = max((x for x, _ in points), default=Decimal(0)) or Decimal(1)
    most_y = max((y.high for _, y in points), default=Decimal(0)) or Decimal(1)

    def place(x: Decimal, y: Decimal) -> tuple[Decimal, Decimal]:
        return round(left + x / most_x * (right - left), 1), round(base - y / most_y * (base - 20), 1)

    def path(places: Sequence[tuple[Decimal, Decimal]]) -> str:
        return " ".join(f"{x},{y}" for x, y in places)

    edge = [place(x, y.high) for x, y in points] + [place(x, y.low) for x, y in reversed(points)]
    middle = [place(x, y.expected) for x, y in points]
    drawn = [
        Markup('<polygon points="{}" fill="{}" opacity="0.25"/>').format(path(edge), BEFORE),
        Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}"/>').format(left, base, right, base, BEFORE),
        Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>').format(path(middle), AFTER),
    ]
    for (x, y), (users, amount) in zip(middle, points, strict=True):
        drawn.append(
            Markup(
                '<circle cx="{}" cy="{}" r="3" fill="{}"/><text x="{}" y="{}" text-anchor="middle">${:,.0f}</text>'
                '<text x="{}" y="{}" text-anchor="middle">{:,}</text>'
            ).format(x, y, AFTER, x, y - 8, amount.expected, x, base + 18, users)
        )
    return _picture(height, title, drawn)


def _picture(height: int, title: str, parts: Sequence[Markup]) -> Markup:
    head = Markup(
        '<svg role="img" viewBox="0 0 {} {}" width="100%" font-family="system-ui" font-size="12"><title>{}</title>'
    ).format(WIDTH, height, title)
    return head + Markup("").join(parts) + Markup("</svg>")
