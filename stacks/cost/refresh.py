"""``python -m stacks.cost refresh``: the price table again, from AWS's Price List, from its answers, or from quotes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import boto3
from rich.markup import escape
from rich.table import Table

from stacks.account import CONFIG, aws_errors
from stacks.cost.price_list import Product, Unlisted, Wanted, ask, products, rows_of, wanted
from stacks.cost.prices import TABLE, Meter, Price, Prices, load, written
from stacks.cost.quoted import read_quoted, with_quoted
from stacks.cost.regions import CODES, HOME
from stacks.terminal import Exit, Refused, console, errors

# It answers for all regions, from three of them (docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html).
ENDPOINT = "us-east-1"


@dataclass(frozen=True)
class Move:
    """One tier's price before and after; None where it is not there."""

    region: str
    meter: Meter
    begins: Decimal
    old: Decimal | None
    new: Decimal | None

    @property
    def percent(self) -> Decimal | None:
        return round((self.new - self.old) * 100 / self.old, 2) if self.old and self.new is not None else None


@dataclass(frozen=True)
class Refreshed:
    """The table after a refresh. A meter in ``failures`` keeps its rows, which go on ageing."""

    rows: tuple[Price, ...]
    confirmed: int
    failures: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()  # meters that a region never had a price of, and has none now


def refresh_command(arguments: list[str]) -> int:
    """Show what the price table would become, and write it with --apply; exit code 1 when a meter has no single SKU."""
    chosen = _parser().parse_args(arguments)
    table = load(chosen.prices)
    if chosen.source and chosen.source.suffix == ".csv":
        rows = with_quoted(table.rows, read_quoted(_text(chosen.source), chosen.source.name))
        done = Refreshed(tuple(rows), 0)
    else:
        day = chosen.date or datetime.now(UTC).date()
        asked = [meter for region in chosen.region or [HOME] for meter in wanted(table, region, chosen.type)]
        done = refreshed(table, asked, _answers(chosen), day)
    moves = moved(table.rows, done.rows)
    if chosen.apply:
        chosen.prices.write_text(written(done.rows))
    if chosen.json:
        sys.stdout.write(json.dumps(_as_data(done, moves, applied=chosen.apply), indent=2) + "\n")
    else:
        _show(done, moves, applied=chosen.apply)
    return Exit.FAILED if done.failures else Exit.OK


def refreshed(
    table: Prices, asked: Iterable[Wanted], answers: Callable[[Wanted], list[Product]], today: date
) -> Refreshed:
    """The table with some meters as the Price List has them today."""
    rows = {row_key: tiers for region in table.regions for row_key, tiers in table.meters(region).items()}
    failures: list[str] = []
    absent: list[str] = []
    confirmed = 0
    for meter in asked:
        try:
            found = rows_of(answers(meter), meter, today)
        except Unlisted as reason:
            text = f"{meter.region} {meter.meter.service} {meter.spellings[0]}: {reason}"
            (failures if meter.rows else absent).append(text)
        else:
            rows[found[0].key] = found
            confirmed += 1
    return Refreshed(tuple(row for tiers in rows.values() for row in tiers), confirmed, tuple(failures), tuple(absent))


def moved(before: Sequence[Price], after: Sequence[Price]) -> list[Move]:
    """Every tier whose price is another one, dearer ones first."""
    old, new = ({(row.key, row.begins): row for row in rows} for rows in (before, after))
    found = [
        Move(row.region, row.meter, row.begins, _usd(old.get(at)), _usd(new.get(at)))
        for at, row in {**old, **new}.items()
        if _usd(old.get(at)) != _usd(new.get(at))
    ]
    return sorted(found, key=lambda move: (-(move.percent or 0), move.region, move.meter.usage_type, move.begins))


def _usd(row: Price | None) -> Decimal | None:
    return row and row.usd


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.cost refresh", description=refresh_command.__doc__)
    parser.add_argument(
        "--region", action="append", choices=sorted(CODES), metavar="REGION", help=f"repeatable (default: {HOME})"
    )
    parser.add_argument(
        "--type",
        action="append",
        default=[],
        help="an instance type that the table lacks: m8g.large, db.m8g.large; repeatable",
    )
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="instead of asking AWS: what `aws pricing get-products` printed (.json), or quotes (.csv)",
    )
    parser.add_argument("--apply", action="store_true", help="write the table")
    parser.add_argument("--prices", type=Path, default=TABLE, help="the price table")
    parser.add_argument("--profile", help="AWS profile")
    parser.add_argument("--date", type=date.fromisoformat, help="the day of the answers (default: today, UTC)")
    parser.add_argument("--json", action="store_true", help="for machines")
    return parser


def _answers(chosen: argparse.Namespace) -> Callable[[Wanted], list[Product]]:
    """How to come by the products that may fit a meter."""
    if chosen.source:
        found = _products(chosen.source)
        return lambda _: found
    with aws_errors("opening the Price List"):
        client = boto3.Session(profile_name=chosen.profile).client("pricing", region_name=ENDPOINT, config=CONFIG)

    def asked(meter: Wanted) -> list[Product]:
        with aws_errors(f"asking the Price List for {meter.spellings[0]}"):
            return ask(client, meter)

    return asked


def _products(path: Path) -> list[Product]:
    try:
        found: Any = json.loads(_text(path))
        return products(cast("list[Any]", found["PriceList"]))
    except (KeyError, TypeError, ValueError) as failure:
        rule = f"is no answer of the Price List ({type(failure).__name__}: {failure})"
        raise Refused(f"{path}: {rule}. Give what `aws pricing get-products` printed.") from None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as failure:
        raise Refused(f"{path}: cannot be read ({failure}).") from None


def _as_data(done: Refreshed, moves: Sequence[Move], *, applied: bool) -> dict[str, Any]:
    return {
        "version": 1,
        "applied": applied,
        "confirmed": done.confirmed,
        "moves": [
            {
                "region": move.region,
                "service": move.meter.service,
                "usageType": move.meter.usage_type,
                "begins": str(move.begins),
                "old": None if move.old is None else str(move.old),
                "new": None if move.new is None else str(move.new),
                "percent": None if move.percent is None else str(move.percent),
            }
            for move in moves
        ],
        "failures": list(done.failures),
        "absent": list(done.absent),
    }


def _show(done: Refreshed, moves: Sequence[Move], *, applied: bool) -> None:
    table = Table("region", "meter", "from", "old", "new", "%")
    for move in moves:
        numbers = ["" if value is None else f"{value:f}" for value in (move.old, move.new, move.percent)]
        table.add_row(
            move.region, escape(f"{move.meter.service} {move.meter.usage_type}"), f"{move.begins:f}", *numbers
        )
    if moves:
        console.print(table)
    what = "written" if applied else "nothing written without --apply"
    console.print(f"{done.confirmed} meters as the Price List has them, {len(moves)} prices moved; {what}.")
    for text in done.absent:
        console.print("stays unpriced:", escape(text), soft_wrap=True)
    for text in done.failures:
        errors.print("[red]kept as it was:[/]", escape(text), soft_wrap=True)
