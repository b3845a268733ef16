"""The monthly cost before and after, where an estimate of it can be had; without one the gate stays shut."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Cost:
    """Expected US dollars a month before and after, and what makes the difference."""

    before: Decimal
    after: Decimal
    budget: Decimal
    drivers: tuple[tuple[str, Decimal], ...]  # what, and its difference, the largest first
    unpriced: tuple[str, ...]  # what has no price: then the sum is not the whole
    notes: tuple[str, ...] = ()  # assumptions, date of the prices

    @property
    def difference(self) -> Decimal:
        return self.after - self.before
