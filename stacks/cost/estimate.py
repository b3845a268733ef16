"""An estimate: one line for each meter of each resource, with where its number comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from stacks.cost.amounts import Range, cents, total
from stacks.cost.facts import Billed, billed
from stacks.cost.prices import Prices
from stacks.cost.rules import compute, data, network, operations
from stacks.cost.rules.use import Context, Rule, Use
from stacks.cost.usage import Usage
from stacks.graph import Graph

Confidence = Literal["priced", "assumed", "unpriced"]
RULES: Mapping[str, Rule] = {**compute.RULES, **network.RULES, **data.RULES, **operations.RULES}
# The control plane, the way out and the way in: what an environment costs with nothing in it.
FLOOR = ("AmazonEKS-Hours", "NatGateway-Hours", "LoadBalancerUsage", "PublicIPv4")


@dataclass(frozen=True)
class Line:
    """What one resource uses of one meter in a month. Without a cost it is unpriced, and the assumption says why."""

    urn: str
    region: str
    service: str
    usage_type: str
    unit: str
    quantity: Range | None
    cost: Range | None
    confidence: Confidence
    assumption: str
    source: str
    fixed: bool

    @property
    def resource(self) -> str:
        """The resource as people name it: its kind and its logical name."""
        kinds, _, name = self.urn.split("::", 2)[-1].rpartition("::")
        return f"{kinds.rsplit(':', 1)[-1]} {name}"

    @property
    def price(self) -> Decimal | None:
        """What a unit costs on the average, tiers and Spot included."""
        if self.cost is None or self.quantity is None or not self.quantity.expected:
            return None
        return self.cost.expected / self.quantity.expected


@dataclass(frozen=True)
class Estimate:
    """All lines of a stack, in the order of its URNs."""

    stack: str
    lines: tuple[Line, ...]
    prices_read: date

    @property
    def total(self) -> Range:
        """The sum of what is priced, unrounded; ``unpriced`` is what it leaves out."""
        return total([line.cost for line in self.lines if line.cost])

    @property
    def unpriced(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.cost is None)

    @property
    def floor(self) -> Decimal:
        """The fixed part of control plane, gateways, load balancer and public addresses."""
        return sum(
            (line.cost.expected for line in self.lines if line.cost and any(part in line.usage_type for part in FLOOR)),
            Decimal(0),
        )

    def by(self, field: Literal["service", "resource"]) -> dict[str, Range]:
        """The priced lines summed by service or by resource, dearest first."""
        found: dict[str, list[Range]] = {}
        for line in self.lines:
            if line.cost:
                found.setdefault(getattr(line, field), []).append(line.cost)
        sums = {name: total(costs) for name, costs in found.items()}
        return dict(sorted(sums.items(), key=lambda item: -item[1].expected))


def estimate(graph: Graph, usage: Usage, prices: Prices, on: date | None = None) -> Estimate:
    """What a graph costs a month. ``on``: the day for support dates; default: the day the prices were read."""
    return estimate_resources(graph.stack, billed(graph), usage, prices, on)


def estimate_resources(
    stack: str, resources: Sequence[Billed], usage: Usage, prices: Prices, on: date | None = None
) -> Estimate:
    """The same from what decides the prices alone: a graph's facts or a stack's ``billing`` output."""
    ordered = sorted(resources, key=lambda item: item.urn)  # a graph and its outputs are in different orders
    context = Context(usage, prices, ordered, on or prices.read)
    lines = tuple(line for item in ordered for line in _lines(item, context))
    return Estimate(stack, lines, prices.read)


def _lines(item: Billed, context: Context) -> Iterator[Line]:
    rule = RULES.get(item.type)
    if rule is None:
        yield _unpriced(item, item.type, "", "", f"nobody has judged what {item.type} costs")
        return
    for use in rule(item, context):
        yield _line(item, use, context.prices)


def _line(item: Billed, use: Use, prices: Prices) -> Line:
    meter = use.priced_as or use.meter
    tiers = prices.find(item.region, meter)
    if use.quantity is None:
        return _unpriced(item, use.meter.service, use.meter.usage_type, use.unit, use.assumption)
    if tiers is None:
        where = item.region or "an unknown region"
        why = f"no price of {meter.usage_type} in {where}: python -m stacks.cost refresh --region {where}"
        return _unpriced(item, use.meter.service, use.meter.usage_type, use.unit, why, use.quantity)
    return Line(
        urn=item.urn,
        region=item.region,
        service=use.meter.service,
        usage_type=use.meter.usage_type,
        unit=use.unit,
        quantity=use.quantity,
        cost=tiers.costs(use.quantity) * use.factor,
        confidence="priced" if tiers.confirmed and use.quantity.certain and use.factor.certain else "assumed",
        assumption=use.assumption if tiers.confirmed else f"{use.assumption}; price not confirmed".lstrip("; "),
        source=tiers.source,
        fixed=use.fixed,
    )


def _unpriced(item: Billed, service: str, usage_type: str, unit: str, why: str, quantity: Range | None = None) -> Line:
    return Line(item.urn, item.region, service, usage_type, unit, quantity, None, "unpriced", why, "", fixed=False)


def as_data(found: Estimate) -> dict[str, Any]:
    """An estimate as JSON has it: money in cents' precision as text, quantities as they are."""
    return {
        "version": 1,
        "stack": found.stack,
        "currency": "USD",
        "pricesRead": found.prices_read.isoformat(),
        "total": _money(found.total),
        "floor": str(cents(found.floor)),
        "unpriced": len(found.unpriced),
        "lines": [_line_data(line) for line in found.lines],
    }


def _line_data(line: Line) -> dict[str, Any]:
    quantity = line.quantity
    return {
        "urn": line.urn,
        "region": line.region,
        "service": line.service,
        "usageType": line.usage_type,
        "unit": line.unit,
        "quantity": quantity
        and {"low": str(quantity.low), "expected": str(quantity.expected), "high": str(quantity.high)},
        "price": None if line.price is None else str(line.price),
        "cost": line.cost and _money(line.cost),
        "confidence": line.confidence,
        "assumption": line.assumption,
        "source": line.source,
        "fixed": line.fixed,
    }


def _money(amount: Range) -> dict[str, str]:
    return {"low": str(cents(amount.low)), "expected": str(cents(amount.expected)), "high": str(cents(amount.high))}
