"""Spot: what the shipped, dated sample of the Spot Advisor says of each type."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

SAMPLE = Path(__file__).resolve().parent / "data" / "spot.csv"


@dataclass(frozen=True)
class Advice:
    """One type in one region: average discount of the last month, and how often AWS took such nodes back."""

    region: str
    instance_type: str
    discount: Decimal
    interruptions: int  # 0: below 5 % a month, then 5-10, 10-15, 15-20, 4: above 20 %
    as_of: date


@lru_cache(maxsize=1)
def sample() -> tuple[Advice, ...]:
    """The shipped sample."""
    with SAMPLE.open() as file:
        return tuple(
            Advice(
                row["region"],
                row["instance_type"],
                Decimal(row["discount_percent"]) / 100,
                int(row["interruptions"]),
                date.fromisoformat(row["as_of"]),
            )
            for row in csv.DictReader(file)
        )


@lru_cache
def advice(region: str) -> Mapping[str, Advice]:
    """The sample's types of a region, by name."""
    return {row.instance_type: row for row in sample() if row.region == region}
