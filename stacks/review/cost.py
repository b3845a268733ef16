"""The monthly cost before and after; where there is no estimate there is no Cost, and the gate stays shut."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from stacks.cost.amounts import dollars
from stacks.cost.delta import difference
from stacks.cost.estimate import estimate
from stacks.cost.prices import load, staleness
from stacks.cost.usage import read
from stacks.graph import Graph
from stacks.terminal import Refused


@dataclass(frozen=True)
class Cost:
    """Expected US dollars a month before and after, and what makes the difference."""

    before: Decimal
    after: Decimal
    budget: Decimal
    drivers: tuple[tuple[str, Decimal], ...]  # what, and its difference, the largest first
    unpriced: tuple[str, ...]  # what the change brings without a price: the sum is not the whole
    notes: tuple[str, ...] = ()

    @property
    def difference(self) -> Decimal:
        return self.after - self.before


def compare(base: Graph, head: Graph, budget: Decimal, today: date) -> Cost | None:
    """Both graphs at the same usage and prices; None where those cannot be had."""
    try:
        usage, prices = read(head.stack), load()
    except Refused:
        return None
    before, after = (estimate(graph, usage, prices, today) for graph in (base, head))
    delta = difference(before, after)
    span = f"Between {dollars(delta.after.low)} and {dollars(delta.after.high)} a month; prices read on {prices.read}."
    silent = f"{len(after.unpriced)} meters have no price and are left out." if after.unpriced else ""
    return Cost(
        before=delta.before.expected,
        after=delta.after.expected,
        budget=budget,
        drivers=tuple((f"{row.resource} ({'; '.join(row.reasons)})", row.amount) for row in delta.changes),
        unpriced=delta.newly_unpriced,
        notes=tuple(note for note in (span, silent, staleness(prices, today)) if note),
    )
