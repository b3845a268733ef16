"""What every rule reads and says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from stacks.cost.amounts import HOURS, Range, exactly
from stacks.cost.facts import Billed
from stacks.cost.prices import Meter, Prices
from stacks.cost.regions import CODES, HOME
from stacks.cost.usage import Usage

ALL_HOURS, UNCHANGED = exactly(HOURS), exactly(1)


@dataclass(frozen=True)
class Use:
    """So much of a meter, and the assumption behind it; without a quantity it is unpriced, and the assumption says why.

    ``fixed``: billed for being there, whatever the load.
    """

    meter: Meter
    unit: str
    quantity: Range | None
    assumption: str = ""
    fixed: bool = False
    priced_as: Meter | None = None  # Spot has no list price: a factor on the on-demand one
    factor: Range = UNCHANGED


@dataclass(frozen=True)
class Context:
    """What a rule may look at besides its resource."""

    usage: Usage
    prices: Prices
    resources: Sequence[Billed]
    on: date  # the day for which versions count as supported or not


Rule = Callable[[Billed, Context], Iterator[Use]]


def hourly(service: str, usage_type: str, attributes: str = "", count: Range | int = 1, assumption: str = "") -> Use:
    """A fixed charge by the hour for so many of a thing."""
    return Use(Meter(service, usage_type, attributes), "Hrs", ALL_HOURS * count, assumption, fixed=True)


def used(
    service: str, usage_type: str, unit: str, quantity: Range, assumption: str, attributes: str = ""
) -> Iterator[Use]:
    """What the usage file says is used; nothing where it says none."""
    if quantity.high:
        yield Use(Meter(service, usage_type, attributes), unit, quantity, assumption)


def unknown(service: str, usage_type: str, unit: str, why: str) -> Use:
    return Use(Meter(service, usage_type), unit, None, why)


def prefixed(region: str, usage_type: str) -> str:
    """The usage type of services that name the region in it, also in us-east-1."""
    return f"{CODES.get(region, region)}-{usage_type}"


def bare(region: str, usage_type: str) -> str:
    """The usage type of the older services, which leave out the prefix in us-east-1."""
    return usage_type if region == HOME else prefixed(region, usage_type)
