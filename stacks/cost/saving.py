"""``python -m stacks.cost saving``: what autoscaling and Spot take off worker nodes that all run on demand all month."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from rich.table import Table

from infra.node_mix import SPOT_SHARE
from stacks.cost.load import Load
from stacks.cost.spot import Advice, advice
from stacks.terminal import Refused, console

AVERAGES = tuple(Decimal(text) for text in ("0.3", "0.45", "0.6", "0.8", "1"))


@dataclass(frozen=True)
class Market:
    """A discount that Spot may give, and what it is of."""

    name: str
    discount: Decimal


def saving(average: Decimal, spot_share: Decimal, discount: Decimal, always_on: Decimal = Decimal(0)) -> Decimal:
    """The part of the bill that is saved, of all nodes of the peak on demand all month.

    ``average``: nodes running on the average, of those at the peak. ``always_on``: what nodes that never scale cost, as
    a part of that bill; they are on both sides.
    """
    return (1 - average * (1 - spot_share * discount)) / (1 + always_on)


def most_average(target: Decimal, spot_share: Decimal, discount: Decimal) -> Decimal:
    """Up to which average load the target holds; above 1 it always does."""
    return (1 - target) / (1 - spot_share * discount)


def markets(region: str, types: Iterable[str]) -> tuple[list[Market], date, int]:
    """No Spot at all, and the least, the median and the greatest discount of a pool; the sample's day and its types."""
    wanted = set(types)
    found = sorted((row for name, row in advice(region).items() if name in wanted), key=_discount_then_name)
    if not found:
        rule = f"the Spot sample has none of the {len(wanted)} types of nodes.workers"
        raise Refused(f"region={region}: {rule}. Give --discount as you measured it.")
    rows = {"least": found[0], "median": found[(len(found) - 1) // 2], "greatest": found[-1]}
    named = [Market(f"{name}, {row.instance_type}", row.discount) for name, row in rows.items()]
    return [Market("all fall back", Decimal(0)), *named], found[0].as_of, len(found)


def saving_command(arguments: list[str]) -> None:
    """Show when the savings target holds, and when not."""
    from stacks.configuration import read_settings

    chosen = _parser().parse_args(arguments)
    settings = read_settings(chosen.stack)
    types = settings.nodes.workers.instance_types
    if chosen.discount == chosen.spot_share == 1:
        raise Refused("--discount=1: all nodes on Spot for nothing is no market. Give what you measured.")
    if chosen.discount is None:
        known, day, count = markets(settings.region, types)
        source = f"Discounts: Spot Advisor sample of {day}, {count} of the pool's {len(types)} types"
    else:
        known, source = [Market("all fall back", Decimal(0)), Market("given", chosen.discount)], "Discount: as given"
    if chosen.json:
        sys.stdout.write(json.dumps(_as_data(chosen, known, source), indent=2) + "\n")
    else:
        _show(chosen, known, source)


def _discount_then_name(row: Advice) -> tuple[Decimal, str]:
    return row.discount, row.instance_type


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.cost saving", description=saving_command.__doc__)
    parser.add_argument("--stack", default="prod", help="whose pool (default: prod)")
    for name, default, what in (
        ("target", "0.6", "what is to be saved"),
        ("average", str(Load.model_fields["average"].default), "nodes running on the average, of those at the peak"),
        ("spot-share", str(SPOT_SHARE), "of the nodes that run"),
        ("always-on", "0", "cost of nodes that never scale, as a part of the peak's on demand"),
        ("discount", None, "of Spot on the on-demand price (default: the shipped sample's)"),
    ):
        parser.add_argument(f"--{name}", type=read_share, default=default and Decimal(default), help=f"{what}; 0 to 1")
    parser.add_argument("--json", action="store_true", help="for machines")
    return parser


def read_share(text: str) -> Decimal:
    """A command's argument: a part of a whole."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no part between 0 and 1")
    return value


def _saved(chosen: argparse.Namespace, market: Market, average: Decimal) -> Decimal:
    return saving(average, chosen.spot_share, market.discount, chosen.always_on)


def _limit(chosen: argparse.Namespace, market: Market) -> Decimal:
    return most_average(chosen.target * (1 + chosen.always_on), chosen.spot_share, market.discount)


def _as_data(chosen: argparse.Namespace, known: list[Market], source: str) -> dict[str, object]:
    return {
        "version": 1,
        "target": str(chosen.target),
        "average": str(chosen.average),
        "spotShare": str(chosen.spot_share),
        "alwaysOn": str(chosen.always_on),
        "source": source,
        "markets": [
            {
                "name": market.name,
                "discount": str(market.discount),
                "saving": str(round(_saved(chosen, market, chosen.average), 4)),
                "holds": _saved(chosen, market, chosen.average) >= chosen.target,
                "holdsUpToAverage": str(round(_limit(chosen, market), 4)),
            }
            for market in known
        ],
    }


def _show(chosen: argparse.Namespace, known: list[Market], source: str) -> None:
    averages = sorted({*AVERAGES, chosen.average})
    title = f"saved, by average load, with {chosen.spot_share:.0%} on Spot; ✓ where {chosen.target:.0%} is reached"
    heads = [f"{average:.0%}" for average in averages]
    table = Table("Spot", "discount", *heads, "holds to", title=title, title_justify="left")
    for market in known:
        saved = [_saved(chosen, market, average) for average in averages]
        cells = [f"{part:.0%}{' ✓' if part >= chosen.target else ''}" for part in saved]
        limit = _limit(chosen, market)
        table.add_row(market.name, f"{market.discount:.0%}", *cells, "always" if limit >= 1 else f"{limit:.0%}")
    console.print(table)
    formula = "1 - average × (1 - Spot share × discount)"
    formula = f"({formula}) / (1 + {chosen.always_on})" if chosen.always_on else formula
    console.print(f"{source}. Saving, of all nodes on demand all month: {formula}.", soft_wrap=True)
