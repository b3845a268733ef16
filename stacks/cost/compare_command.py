"""``python -m stacks.cost compare``: what the same settings cost on Azure and Google Cloud, where a dated price tells it."""

from __future__ import annotations

import argparse
import json
import sys
from decimal import Decimal
from typing import Any

from rich.table import Table

from stacks.cost.amounts import cents, dollars
from stacks.cost.clouds import CLOUDS, Compared, Rates, compared, read, total
from stacks.cost.estimate import estimate_resources
from stacks.cost.plan_command import base_of
from stacks.terminal import console


def compare_command(arguments: list[str]) -> None:
    """Compare with Azure and Google Cloud part by part: only what has a dated source, and no sum while one lacks it."""
    parser = argparse.ArgumentParser(prog="python -m stacks.cost compare", description=compare_command.__doc__)
    parser.add_argument("--stack", default="prod", help="which Pulumi.<stack>.yaml (default: prod)")
    parser.add_argument("--json", action="store_true", help="for machines")
    chosen = parser.parse_args(arguments)
    base, rates = base_of(chosen.stack), read()
    found = estimate_resources(base.stack, base.resources, base.usage, base.prices)
    rows = compared(base.settings, found, rates)
    if chosen.json:
        sys.stdout.write(
            json.dumps({**_as_data(base.stack, rows, rates), "unpricedLinesOfAws": len(found.unpriced)}, indent=2)
            + "\n"
        )
    else:
        _show(base.stack, rows, rates)
        console.print(f"AWS is without {len(found.unpriced)} lines that have no price here either.")


def _as_data(stack: str, rows: list[Compared], rates: Rates) -> dict[str, Any]:
    return {
        "version": 1,
        "stack": stack,
        "parts": [
            {
                "name": row.part.name,
                "services": dict(row.part.services),
                "aws": str(cents(row.aws)),
                **{cloud: None if cost is None else str(cents(cost)) for cloud, cost in row.others.items()},
                "missing": {cloud: list(meters) for cloud, meters in row.missing.items()},
            }
            for row in rows
        ],
        "total": {"aws": str(cents(_ours(rows))), **{cloud: _text(total(rows, cloud)) for cloud in CLOUDS}},
        "sources": [
            {"cloud": cloud, "meter": meter, "usd": str(rate.usd), "unit": rate.unit, "region": rate.region,
             "asOf": rate.as_of.isoformat(), "source": rate.source, "address": rate.address}
            for (cloud, meter), rate in rates.items()
        ],
    }  # fmt: skip


def _show(stack: str, rows: list[Compared], rates: Rates) -> None:
    table = Table("part", "AWS", *CLOUDS.values(), title=f"{stack} a month, elsewhere", title_justify="left")
    for row in rows:
        names = row.part.services
        others = [f"{_shown(row.others[cloud])} {names[cloud]}" for cloud in CLOUDS]
        table.add_row(row.part.name, f"{dollars(row.aws)} {names['aws']}", *others)
    table.add_row("in all", dollars(_ours(rows)), *(_shown(total(rows, cloud), "no sum") for cloud in CLOUDS))
    console.print(table)
    for (cloud, meter), rate in rates.items():
        where = f"{CLOUDS[cloud]}, {meter}: ${rate.usd} per {rate.unit}, {rate.region}, {rate.as_of}"
        console.print(f"{where}: {rate.source}. {rate.address}", markup=False, soft_wrap=True)
    console.print("No sum while a part has no dated price: add a row with its source to stacks/cost/data/clouds.csv.")


def _ours(rows: list[Compared]) -> Decimal:
    return sum((row.aws for row in rows), Decimal(0))


def _shown(amount: Decimal | None, otherwise: str = "no dated price") -> str:
    return otherwise if amount is None else dollars(amount)


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(cents(amount))
