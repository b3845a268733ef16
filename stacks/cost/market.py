"""The Spot market as AWS's price history tells it: what each type cost in each zone, weighted by how long it did."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from itertools import pairwise
from typing import Any, cast

from stacks.terminal import Refused

LEAST_DAYS, MOST_DAYS = 30, 90  # AWS keeps 90 days (EC2 API reference, DescribeSpotPriceHistory)
FORM = (
    "Give what `aws ec2 describe-spot-price-history --product-descriptions Linux/UNIX` printed, or what --save wrote."
)


@dataclass(frozen=True)
class PriceChange:
    """A price that holds until the next one of its type and zone."""

    instance_type: str
    zone: str
    at: datetime
    usd: Decimal


@dataclass(frozen=True)
class Statistics:
    """Of the prices in one window, each by the time it held."""

    median: Decimal
    p95: Decimal
    deviation: Decimal
    known: timedelta  # how much of the window the rows tell of


@dataclass(frozen=True)
class Market:
    """A region's price history, and in which zones each type is sold."""

    changes: tuple[PriceChange, ...]
    offered: Mapping[str, frozenset[str]]

    @property
    def newest(self) -> datetime:
        return max(change.at for change in self.changes)

    @cached_property
    def _pools(self) -> dict[tuple[str, str], list[PriceChange]]:
        found: dict[tuple[str, str], list[PriceChange]] = {}
        for change in self.changes:
            found.setdefault((change.instance_type, change.zone), []).append(change)
        return found

    def statistics(self, instance_type: str, zone: str, begins: datetime, ends: datetime) -> Statistics | None:
        """A pool's prices in a window; None where no row tells of it."""
        return statistics(self._pools.get((instance_type, zone), ()), begins, ends)


def statistics(changes: Iterable[PriceChange], begins: datetime, ends: datetime) -> Statistics | None:
    """Percentiles and deviation by time. Before its first row a price is unknown and does not count."""
    held = _held(sorted(changes, key=lambda change: change.at), begins, ends)
    known = sum((length for length, _ in held), timedelta())
    if not known:
        return None
    weights = [(Decimal(length / timedelta(microseconds=1)), usd) for length, usd in held]
    whole = sum((weight for weight, _ in weights), Decimal(0))
    mean = sum((weight * usd for weight, usd in weights), Decimal(0)) / whole
    variance = sum((weight * (usd - mean) ** 2 for weight, usd in weights), Decimal(0)) / whole
    return Statistics(
        _percentile(weights, whole, Decimal("0.5")),
        _percentile(weights, whole, Decimal("0.95")),
        variance.sqrt(),
        known,
    )


def _held(rows: Sequence[PriceChange], begins: datetime, ends: datetime) -> list[tuple[timedelta, Decimal]]:
    """How long each price held inside the window; of rows at one time the last counts."""
    bounds = [*(min(max(row.at, begins), ends) for row in rows), ends]
    lengths = (later - earlier for earlier, later in pairwise(bounds))
    return [(length, row.usd) for length, row in zip(lengths, rows, strict=True) if length]


def _percentile(weights: Iterable[tuple[Decimal, Decimal]], whole: Decimal, part: Decimal) -> Decimal:
    """The least price that was not exceeded for that part of the time."""
    passed = Decimal(0)
    ordered = sorted((usd, weight) for weight, usd in weights)
    for usd, weight in ordered:
        passed += weight
        if passed >= part * whole:
            return usd
    return ordered[-1][0]


def read(text: str, source: str) -> Market:
    """A market from AWS's own answers as JSON. Raises Refused for anything else."""
    try:
        document: Any = json.loads(text)
        rows = [_change(row) for row in document["SpotPriceHistory"] if _is_linux(row)]
        listed = [(str(row["InstanceType"]), str(row["Location"])) for row in document.get("InstanceTypeOfferings", ())]
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as failure:
        raise Refused(f"{source}: is no Spot price history ({type(failure).__name__}: {failure}). {FORM}") from None
    if not rows:
        raise Refused(f"{source}: SpotPriceHistory=[]: no price of Linux in it. {FORM}")
    # Without the offerings' answer: where AWS states a price, it sells the type.
    sold: dict[str, set[str]] = {}
    for instance_type, zone in listed or [(row.instance_type, row.zone) for row in rows]:
        sold.setdefault(instance_type, set()).add(zone)
    return Market(tuple(rows), {name: frozenset(zones) for name, zones in sold.items()})


def _is_linux(row: Mapping[str, Any]) -> bool:
    return row.get("ProductDescription", "Linux/UNIX") in ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")


def _change(row: Mapping[str, Any]) -> PriceChange:
    usd = Decimal(cast("str", row["SpotPrice"]))
    if not usd.is_finite() or usd <= 0:
        raise ValueError(f"SpotPrice={usd} is no price")
    at = datetime.fromisoformat(row["Timestamp"])
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return PriceChange(str(row["InstanceType"]), str(row["AvailabilityZone"]), at, usd)
