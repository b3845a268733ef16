"""Prices as dated public sources quote them, for meters that nobody has asked AWS's Price List about yet.

``data/quoted.csv`` is written by people: a price for so many units (``per``), and of databases the Single-AZ one only.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import fields, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

from stacks.cost.prices import Price, parse, written
from stacks.terminal import Exit, Refused

QUOTED = Path(__file__).resolve().parent / "data" / "quoted.csv"
COLUMNS = [*(field.name for field in fields(Price) if field.name != "sku"), "per"]


def read_quoted(text: str, name: str) -> list[Price]:
    """The rows for the table that quotes make. Raises Refused for a malformed quote."""
    reader = csv.DictReader(io.StringIO(text))
    if sorted(reader.fieldnames or ()) != sorted(COLUMNS):
        raise Refused(f"{name}: its columns are {reader.fieldnames}, not {COLUMNS}. Correct the file.", Exit.STATE)
    out = io.StringIO()
    table = csv.DictWriter(out, [field.name for field in fields(Price)], lineterminator="\n")
    table.writeheader()
    table.writerows(_for_one(row, f"{name}:{number}") for number, row in enumerate(reader, start=2))
    return [priced for row in parse(out.getvalue(), name) for priced in _deployments(row)]


def with_quoted(rows: Iterable[Price], quoted: Iterable[Price]) -> list[Price]:
    """The table of what the Price List has confirmed, and of quotes for the rest. Other rows have no source: they go."""
    listed = [row for row in rows if row.sku]
    known = {row.key for row in listed}
    return parse(written([*listed, *(row for row in quoted if row.key not in known)]), QUOTED.name)


def _for_one(row: dict[str, str], where: str) -> dict[str, str]:
    """The quote for one unit."""
    per = row.pop("per")
    try:
        if Decimal(per) != 1:
            row["source"] += f", {row['usd']} for {int(per):,}"
            row["usd"] = str((Decimal(row["usd"]) / Decimal(per)).normalize())
    except (ArithmeticError, InvalidOperation, ValueError):
        raise Refused(f"{where}: per={per}: must be a whole number above 0. Correct the file.", Exit.STATE) from None
    return {**row, "sku": ""}


def _deployments(row: Price) -> list[Price]:
    """A database's price, and for Multi-AZ twice of it: AWS bills both instances (RDS pricing page)."""
    single, several = "deploymentOption=Single-AZ", "deploymentOption=Multi-AZ"
    if row.service != "AmazonRDS" or "InstanceUsage:" not in row.usage_type:
        return [row]
    twin = replace(
        row,
        usage_type=row.usage_type.replace("InstanceUsage:", "Multi-AZUsage:"),
        attributes=row.attributes.replace(single, several),
        usd=row.usd * 2,
        source=f"{row.source}; twice the Single-AZ price",
    )
    return [row, twin]
