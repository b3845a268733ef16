"""An answer as a table in the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from stacks.cost.amounts import Range, dollars
from stacks.cost.estimate import Estimate, Line
from stacks.terminal import console

if TYPE_CHECKING:
    from stacks.cost.command import Answer

BAR = 16
MOST_ROWS = 12


def show(answer: Answer) -> None:
    """Services with bars, the dearest resources, what is not in the sum. Every line is in the other reports."""
    found = answer.estimate
    services = found.by("service")
    most = max((amount.expected for amount in services.values()), default=Decimal(0))
    table = Table(
        "service", "a month", "", "low … high", title=f"{found.stack}: {sentence(found)}", title_justify="left"
    )
    for name, amount in services.items():
        table.add_row(name, dollars(amount.expected), bar(amount.expected, most), span(amount))
    console.print(table)
    resources = Table("resource", "a month", "low … high", title="the dearest resources", title_justify="left")
    for name, amount in list(found.by("resource").items())[:MOST_ROWS]:
        resources.add_row(name, dollars(amount.expected), span(amount))
    console.print(resources)
    for text in closing(answer):
        console.print(escape(text), soft_wrap=True)


def markdown(answer: Answer) -> str:
    """The same for a pull request: short tables first, all lines folded."""
    found = answer.estimate
    rows = [[name, dollars(amount.expected), span(amount)] for name, amount in found.by("service").items()]
    parts = [f"## Cost of {found.stack}", sentence(found), _table(["service", "a month", "low … high"], rows)]
    if answer.delta:
        moved = [
            [change.resource, _or_none(change.before), _or_none(change.after), signed(change.amount)]
            for change in answer.delta.changes[:MOST_ROWS]
        ]
        parts += ["### What changes", _table(["resource", "before", "after", "difference"], moved)]
    every = [
        [line.resource, line.usage_type, quantity(line), dollars(line.cost.expected) if line.cost else "unpriced",
         line.confidence, line.assumption]
        for line in ordered(found)
    ]  # fmt: skip
    heads = ["resource", "meter", "quantity", "a month", "how sure", "assumption"]
    parts += ["<details><summary>All lines</summary>\n", _table(heads, every), "</details>", *closing(answer)]
    return "\n\n".join(parts) + "\n"


def sentence(found: Estimate) -> str:
    """The verdict in one line."""
    total = found.total
    left_out = f", without {len(found.unpriced)} unpriced lines" if found.unpriced else ""
    return f"{dollars(total.expected)} a month ({span(total)}){left_out}"


def closing(answer: Answer) -> list[str]:
    """What the sum rests on and leaves out, the change, and the budget."""
    found = answer.estimate
    texts = [f"Fixed floor (control plane, gateways, load balancer, public addresses): {dollars(found.floor)}."]
    texts += [f"Unpriced: {line.resource}, {line.usage_type}: {line.assumption}." for line in found.unpriced]
    if answer.delta:
        delta = answer.delta
        percent = "" if delta.percent is None else f" ({delta.percent:+.1f} %)"
        change = f"{dollars(delta.before.expected)} → {dollars(delta.after.expected)}"
        texts.append(f"Change: {change}, {signed(delta.amount)} a month{percent}.")
        texts += [
            f"  {change.resource} {signed(change.amount)}: {'; '.join(change.reasons)}" for change in delta.changes[:5]
        ]
    if answer.gate:
        if answer.gate.budget:
            share = found.total.expected / answer.gate.budget
            texts.append(f"Budget: {bar(share, Decimal(1))} {share:.0%} of {dollars(answer.gate.budget)}.")
        if answer.gate.override:
            texts.append(f"The gate was overridden: {answer.gate.override}")
    texts.append(
        f"List prices read on {found.prices_read}, without taxes, discounts, free tiers of the account and model calls."
    )
    return [*texts, *(f"Warning: {text}" for text in answer.warnings)]


def ordered(found: Estimate) -> Sequence[Line]:
    """Unpriced first, then the dearest: what needs attention is on top."""
    return sorted(found.lines, key=lambda line: (line.cost is not None, -line.cost.expected if line.cost else 0))


def quantity(line: Line) -> str:
    return f"{line.quantity.expected:,.10g} {line.unit}" if line.quantity else "?"


def span(amount: Range) -> str:
    return "" if amount.certain else f"{dollars(amount.low)} … {dollars(amount.high)}"


def signed(amount: Decimal) -> str:
    return ("+" if amount >= 0 else "") + dollars(amount)


def bar(amount: Decimal, most: Decimal) -> str:
    """Up to BAR blocks; what is above the most shows as full."""
    filled = int(min(amount / most, Decimal(1)) * BAR) if most else 0
    return "█" * filled + "░" * (BAR - filled)


def _or_none(amount: Range | None) -> str:
    return dollars(amount.expected) if amount else "none"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *cells])
