"""Quantities and money with what they are at the least, as expected and at the most."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

HOURS: Final = Decimal(730)  # of a month: 365 × 24 / 12, AWS's own convention


@dataclass(frozen=True)
class Range:
    """Low, expected and high, in order. Raises ValueError for anything else."""

    low: Decimal
    expected: Decimal
    high: Decimal

    def __post_init__(self) -> None:
        if not self.low <= self.expected <= self.high:
            raise ValueError(f"low {self.low} ≤ expected {self.expected} ≤ high {self.high} does not hold")

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def __mul__(self, other: Range | Decimal | int) -> Range:
        """By another range of what is not negative, or by a number that is not."""
        by = other if isinstance(other, Range) else exactly(other)
        return Range(self.low * by.low, self.expected * by.expected, self.high * by.high)

    @property
    def certain(self) -> bool:
        return self.low == self.high


def exactly(value: Decimal | float | str) -> Range:
    """A range of one value."""
    number = Decimal(str(value))
    return Range(number, number, number)


NOTHING: Final = exactly(0)


def total(parts: list[Range]) -> Range:
    return sum(parts, NOTHING)


def cents(amount: Decimal) -> Decimal:
    """Rounded as an invoice is: half a cent up. Only what is shown is rounded, never what is summed."""
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def dollars(amount: Decimal) -> str:
    return f"${cents(amount):,.2f}" if amount >= 0 else f"-${cents(-amount):,.2f}"


def read_dollars(text: str) -> Decimal:
    """A command's argument: an amount above 0."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount above 0")
    return value
