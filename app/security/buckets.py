"""Token buckets, each kept as one number: the moment at which it is full again (GCRA, as ATM Forum TM 4.1 names it)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

MOST_BUCKETS = 100_000  # about 20 MB; the one that was used longest ago goes
ROUNDING_SECONDS = 1e-6


@dataclass(frozen=True)
class Rate:
    """So many requests a second for ever, and so many at once after a pause."""

    per_second: float
    burst: int

    def __str__(self) -> str:
        return f"{self.per_second:g} requests a second, {self.burst} at once"


class LocalBuckets:
    """Those of one process."""

    def __init__(self) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, key: str, rate: Rate, now: float) -> float:
        """Takes a token: 0, or how many seconds until there is one."""
        interval = 1 / rate.per_second
        full_at = max(self._full_at.get(key, now), now) + interval
        wait = full_at - now - rate.burst * interval
        if wait > ROUNDING_SECONDS:
            return wait
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > MOST_BUCKETS:
            self._full_at.popitem(last=False)
        return 0
