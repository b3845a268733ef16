"""List prices as dated data: which meter, which tier, from which source, and when it was last read.

``data/prices.csv`` is made by ``python -m stacks.cost refresh``. What it lacks is unpriced.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields, replace
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path

from stacks.cost.amounts import Range
from stacks.cost.regions import without_region
from stacks.terminal import Exit, Refused

TABLE = Path(__file__).resolve().parent / "data" / "prices.csv"
REFRESH = "Ask AWS for them: python -m stacks.cost refresh --apply (--region for another region)."
WARN_AFTER, FAIL_AFTER = timedelta(days=45), timedelta(days=120)
UNLIMITED = Decimal("Infinity")


@dataclass(frozen=True)
class Meter:
    """What AWS counts: the Price List's service code, usage type, and the attributes that leave exactly one SKU."""

    service: str
    usage_type: str
    attributes: str = ""  # key=value, separated by ;


@dataclass(frozen=True)
class Price:
    """One tier of a meter's price in a region."""

    region: str
    service: str
    usage_type: str
    attributes: str
    unit: str
    begins: Decimal  # the quantity from which this tier holds
    ends: Decimal
    usd: Decimal
    effective: date  # the day for which the source gives the price
    read: date  # the day we read the source
    confirmed: bool  # whether the source states this very meter; if not, a line says assumed
    sku: str  # empty until a refresh has asked the Price List
    source: str

    @property
    def meter(self) -> Meter:
        return Meter(self.service, self.usage_type, self.attributes)

    @property
    def key(self) -> tuple[str, Meter]:
        return key(self.region, self.meter)


def key(region: str, meter: Meter) -> tuple[str, Meter]:
    """What tells a meter from others: services spell a region in usage types in more than one way."""
    return region, replace(meter, usage_type=without_region(meter.usage_type))


@dataclass(frozen=True)
class Tiers:
    """A meter's price in a region, tier by tier."""

    rows: tuple[Price, ...]

    @property
    def confirmed(self) -> bool:
        return all(row.confirmed for row in self.rows)

    @property
    def source(self) -> str:
        return f"{self.rows[0].source}, {self.rows[0].effective}"

    def cost(self, quantity: Decimal) -> Decimal:
        """What a quantity costs; each tier's price holds for what lies within it."""
        return sum(
            ((min(quantity, row.ends) - row.begins) * row.usd for row in self.rows if quantity > row.begins), Decimal(0)
        )

    def costs(self, quantity: Range) -> Range:
        return Range(self.cost(quantity.low), self.cost(quantity.expected), self.cost(quantity.high))


@dataclass(frozen=True)
class Prices:
    """The whole table."""

    rows: tuple[Price, ...]

    def find(self, region: str, meter: Meter) -> Tiers | None:
        """A meter's price, or None: then what it counts is unpriced."""
        return self._tiers.get(key(region, meter))

    def meters(self, region: str) -> dict[tuple[str, Meter], tuple[Price, ...]]:
        """A region's meters with their tiers."""
        return {key: tiers.rows for key, tiers in self._tiers.items() if key[0] == region}

    @cached_property
    def _tiers(self) -> dict[tuple[str, Meter], Tiers]:
        rows: dict[tuple[str, Meter], list[Price]] = {}
        for row in self.rows:
            rows.setdefault(row.key, []).append(row)
        return {key: Tiers(tuple(tiers)) for key, tiers in rows.items()}

    @property
    def regions(self) -> tuple[str, ...]:
        return tuple(sorted({row.region for row in self.rows}))

    @property
    def read(self) -> date:
        """The day on which the oldest row was read."""
        return min(row.read for row in self.rows)


def load(path: Path = TABLE) -> Prices:
    """The committed table. Raises Refused for one that is absent, empty or malformed."""
    if not path.is_file():
        raise Refused(f"{path.name}: there is no price table. {REFRESH}", Exit.MISSING)
    rows = parse(path.read_text(), path.name)
    if not rows:
        raise Refused(f"{path.name}: the price table is empty. Restore it from git. {REFRESH}", Exit.STATE)
    return Prices(tuple(rows))


def parse(text: str, name: str) -> list[Price]:
    """Rows of a table's text; each meter's tiers begin at 0, leave no gap and have no end: beyond it use would be free."""
    reader = csv.DictReader(io.StringIO(text))
    wanted = [field.name for field in fields(Price)]
    if text.strip() and reader.fieldnames != wanted:
        raise Refused(f"{name}: its columns are {reader.fieldnames}, not {wanted}. Restore it from git.", Exit.STATE)
    rows = [_row(row, f"{name}:{number}") for number, row in enumerate(reader, start=2)]
    ends: dict[tuple[str, Meter], Decimal] = {}
    for number, row in enumerate(rows, start=2):
        if row.begins != ends.get(row.key, Decimal(0)) or row.ends <= row.begins:
            raise Refused(f"{name}:{number}: the tier of {row.usage_type} does not follow the one before.", Exit.STATE)
        ends[row.key] = row.ends
    for (region, meter), end in ends.items():
        if end != UNLIMITED:
            where = f"{name}: the last tier of {meter.usage_type} in {region}"
            raise Refused(f"{where} ends at {end}. Add the one beyond, with its source.", Exit.STATE)
    return rows


def written(rows: Iterable[Price]) -> str:
    """The table's text: sorted, so that a refresh shows as a difference of its prices only."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow([field.name for field in fields(Price)])
    ordered = sorted(rows, key=lambda row: (row.region, row.service, row.usage_type, row.attributes, row.begins))
    table.writerows([_text(value) for value in astuple(row)] for row in ordered)
    return out.getvalue()


def staleness(prices: Prices, today: date) -> str | None:
    """A sentence when the table was not read for longer than WARN_AFTER, else None."""
    age = today - prices.read
    if age <= WARN_AFTER:
        return None
    return f"prices were last read on {prices.read}, {age.days} days ago (warning after {WARN_AFTER.days}). {REFRESH}"


def second_hand(prices: Prices, today: date) -> int:
    """How many rows AWS's Price List has not confirmed, and whose source is older than FAIL_AFTER itself."""
    return sum(not row.sku and today - row.effective > FAIL_AFTER for row in prices.rows)


def require_fresh(prices: Prices, today: date) -> None:
    """Raises Refused for a table that was not read for longer than FAIL_AFTER."""
    age = today - prices.read
    if age > FAIL_AFTER:
        rule = f"is {age.days} days old and {FAIL_AFTER.days} is the most"
        raise Refused(f"price table of {prices.read}: {rule}. {REFRESH}", Exit.FAILED)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value == UNLIMITED else str(value)


def _row(row: dict[str, str], where: str) -> Price:
    try:
        return Price(
            region=row["region"],
            service=row["service"],
            usage_type=row["usage_type"],
            attributes=row["attributes"],
            unit=row["unit"],
            begins=Decimal(row["begins"]),
            ends=Decimal(row["ends"]) if row["ends"] else UNLIMITED,
            usd=_positive(row["usd"]),
            effective=date.fromisoformat(row["effective"]),
            read=date.fromisoformat(row["read"]),
            confirmed={"yes": True, "no": False}[row["confirmed"]],
            sku=row["sku"],
            source=row["source"],
        )
    except (InvalidOperation, KeyError, TypeError, ValueError) as failure:
        raise Refused(f"{where}: is no price ({failure}). Restore the table from git.", Exit.STATE) from None


def _positive(text: str) -> Decimal:
    value = Decimal(text)
    # Zero is allowed as a tier only: AWS's free first 100 GB of egress. A missing price is a missing row.
    if value < 0:
        raise ValueError(f"usd={text} is negative")
    return value
