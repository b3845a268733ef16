"""``python -m stacks.cost spot``: the Spot pool that prices recommend, its month, and when it saves enough."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from infra.capacity_rules import SPOT_MINIMUM_TYPES
from infra.node_mix import SPOT_SHARE, node_limits
from stacks.cost.amounts import cents, dollars, total
from stacks.cost.estimate import Estimate, estimate
from stacks.cost.load import Load
from stacks.cost.market import LEAST_DAYS, MOST_DAYS, Market, read
from stacks.cost.plan import Base
from stacks.cost.plan_command import base_of
from stacks.cost.saving import most_average, read_share, saving
from stacks.cost.settings_change import pasted, sections, variant
from stacks.cost.spot import sample
from stacks.cost.spot_pool import BUCKETS, FIELD, Candidate, Ranking, ranked, sold
from stacks.terminal import Refused, console

TARGET = Decimal("0.6")
ADVISOR_DAYS = 30  # over which the Spot Advisor averages (aws.amazon.com/ec2/spot/instance-advisor)
MOST_NAMED = 12  # types left out for one reason; --json names all
POOL = "karpenter.sh/v1:NodePool"


@dataclass(frozen=True)
class Case:
    """A month in which Spot costs so much less than on demand."""

    discount: Decimal
    estimate: Estimate

    @property
    def nodes(self) -> Decimal:
        """What the worker nodes cost, the on-demand base with them."""
        lines = [line.cost for line in self.estimate.lines if POOL in line.urn and line.cost]
        return total(lines).expected


@dataclass(frozen=True)
class Advice:
    """A ranked pool for an environment, and its month by the market it meets."""

    base: Base
    ranking: Ranking
    window: tuple[datetime, datetime]
    cases: Mapping[str, Case]  # expected, p95 where a history tells it, and all fallen back to on demand
    sampled: bool

    @property
    def basis(self) -> str:
        what = "the Spot Advisor's averages" if self.sampled else "the Spot prices"
        return f"{what} of {self.window[0]:%Y-%m-%d} to {self.window[1]:%Y-%m-%d}"

    @property
    def changes(self) -> dict[str, list[str]]:
        return {FIELD: [found.instance_type for found in self.ranking.chosen]}


def spot_command(arguments: list[str]) -> None:
    """Rank the types of the Spot pool by their price history, else by the shipped sample; print the settings for it."""
    chosen = _parser().parse_args(arguments)
    base = base_of(chosen.stack)
    market, ends = _market(chosen, base)
    days = chosen.days if market else ADVISOR_DAYS
    found = advised(base, market, (ends - timedelta(days=days), ends), chosen.types)
    if chosen.json:
        sys.stdout.write(json.dumps(_as_data(found, chosen.average), indent=2) + "\n")
    elif chosen.yaml:
        sys.stdout.write(to_yaml(found))
    else:
        _show(found, chosen.average)


def advised(base: Base, market: Market | None, window: tuple[datetime, datetime], count: int) -> Advice:
    """The pool, captured and priced: at the types' medians, at their 95th percentiles if known, and without Spot."""
    ranking = ranked(base, market, window, count)
    graph = variant(base, {FIELD: [found.instance_type for found in ranking.chosen]}).graph

    def case(discount: Decimal) -> Case:
        usage = base.usage.model_copy(update={"spot": base.usage.spot.model_copy(update={"discount": discount})})
        return Case(discount, estimate(graph, usage, base.prices))

    asked_for = {"expected": ranking.discount("median"), "p95": ranking.discount("p95"), "fallback": Decimal(0)}
    cases = {name: case(discount) for name, discount in asked_for.items() if discount is not None}
    return Advice(base, ranking, window, cases, sampled=market is None)


def _market(chosen: argparse.Namespace, base: Base) -> tuple[Market | None, datetime]:
    """The history, if any, and the end of the window: the day asked for, else now, or the newest price or sample."""
    asked_for = datetime.combine(chosen.date, time.max, UTC) if chosen.date else None
    if chosen.history:
        try:
            text = chosen.history.read_text()
        except (OSError, UnicodeDecodeError) as failure:
            raise Refused(f"--history={chosen.history}: cannot be read ({failure}).") from None
        found = read(text, chosen.history.name)
        return found, asked_for or found.newest
    if not chosen.live:
        return None, datetime.combine(max(row.as_of for row in sample()), time.max, UTC)
    from stacks.account import CONFIG, open_account
    from stacks.cost.market_live import asked

    ec2 = open_account(base.settings, base.stack, chosen.profile).session.client("ec2", config=CONFIG)
    ends = asked_for or datetime.now(UTC)
    text = json.dumps(asked(ec2, sold(base), ends - timedelta(days=chosen.days), ends))
    if chosen.save:
        chosen.save.write_text(text + "\n")
    return read(text, "AWS's answer"), ends


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.cost spot", description=spot_command.__doc__)
    parser.add_argument("--stack", default="prod", help="whose pool (default: prod)")
    source = parser.add_mutually_exclusive_group()  # neither: by the shipped sample
    source.add_argument("--history", type=Path, metavar="FILE", help="AWS's answer as JSON, or what --save wrote")
    source.add_argument("--live", action="store_true", help="ask the stack's account")
    parser.add_argument("--profile", help="AWS credentials for --live")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep what --live answered, for --history")
    parser.add_argument(
        "--days", type=_days, default=MOST_DAYS, help=f"{LEAST_DAYS} to {MOST_DAYS} (default: {MOST_DAYS})"
    )
    parser.add_argument("--date", type=date.fromisoformat, help="the last day looked at (default: the newest price's)")
    parser.add_argument("--types", type=_count, default=18, help=f"how many to list, at least {SPOT_MINIMUM_TYPES}")
    parser.add_argument(
        "--average", type=read_share, default=Decimal(str(Load.model_fields["average"].default)),
        help="nodes running on the average, of those at the peak; 0 to 1",
    )  # fmt: skip
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--yaml", action="store_true", help="the settings only")
    form.add_argument("--json", action="store_true", help="for machines")
    return parser


def _days(text: str) -> int:
    if not text.isdigit() or not LEAST_DAYS <= int(text) <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from {LEAST_DAYS} to {MOST_DAYS}")
    return int(text)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < SPOT_MINIMUM_TYPES:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least {SPOT_MINIMUM_TYPES}")
    return int(text)


def to_yaml(found: Advice) -> str:
    return pasted(found.base.stack, sections(found.base.config, found.changes), f"By {found.basis}")


def _conditions(found: Advice, average: Decimal) -> list[dict[str, Any]]:
    """Whether the target holds in each case at an average load, and up to which one it does."""
    share = Decimal(str(SPOT_SHARE))
    return [
        {
            "case": name,
            "discount": str(round(case.discount, 4)),
            "saving": str(round(saving(average, share, case.discount), 4)),
            "holds": saving(average, share, case.discount) >= TARGET,
            "holdsUpToAverage": str(round(most_average(TARGET, share, case.discount), 4)),
        }
        for name, case in found.cases.items()
    ]


def _base_nodes(found: Advice) -> int:
    return node_limits(found.base.settings.nodes.workers.max_nodes)["on-demand"]


def _as_data(found: Advice, average: Decimal) -> dict[str, Any]:
    return {
        "version": 1,
        "stack": found.base.stack,
        "source": "sample" if found.sampled else "history",
        "from": found.window[0].isoformat(),
        "to": found.window[1].isoformat(),
        "types": [_candidate(row) for row in found.ranking.chosen],
        "leftOut": dict(found.ranking.left_out),
        "onDemandBase": {"share": str(1 - Decimal(str(SPOT_SHARE))), "mostNodes": _base_nodes(found)},
        "monthlyUsd": {
            name: {"nodes": str(cents(case.nodes)), "environment": str(cents(case.estimate.total.expected))}
            for name, case in found.cases.items()
        },
        "target": {"saving": str(TARGET), "average": str(average), "cases": _conditions(found, average)},
        "settings": sections(found.base.config, found.changes),
    }


def _candidate(row: Candidate) -> dict[str, Any]:
    return {
        "instanceType": row.instance_type,
        "onDemand": str(row.on_demand),
        "median": str(row.median),
        "p95": None if row.p95 is None else str(row.p95),
        "deviation": None if row.deviation is None else str(row.deviation),
        "interruptions": row.interruptions,
        "pods": row.pods,
        "score": str(row.score),
    }


def _show(found: Advice, average: Decimal) -> None:
    if found.sampled:
        console.print(
            "[yellow]No price history was given (--live, --history FILE):[/] a dated sample of averages over a month and "
            "the region stands in for it. It tells neither zones, nor how prices move, nor what they are today.",
            soft_wrap=True,
        )
    title = f"Spot pool of {found.base.stack}, by {found.basis}"
    prices = ["average"] if found.sampled else ["median", "p95", "σ"]
    table = Table("type", "on demand", *prices, "taken back", "pods", title=title, title_justify="left")
    for row in found.ranking.chosen:
        known = [amount for amount in (row.on_demand, row.median, row.p95, row.deviation) if amount is not None]
        table.add_row(
            row.instance_type, *(f"${amount:.4f}" for amount in known), _rate(row.interruptions), str(row.pods)
        )
    console.print(table)
    for reason in sorted(set(found.ranking.left_out.values())):
        names = [name for name, why in found.ranking.left_out.items() if why == reason]
        told = ", ".join(names) if len(names) <= MOST_NAMED else f"{len(names)} types"
        console.print(f"Left out, {escape(reason)}: {told}.", soft_wrap=True)
    share = 1 - Decimal(str(SPOT_SHARE))
    console.print(f"On-demand base: {share:.0%} of the pods, at most {_base_nodes(found)} nodes.")
    months = Table(
        "a month", "Spot below on demand", "worker nodes", "environment", "saves", f"{TARGET:.0%}", "up to average"
    )
    for (name, case), row in zip(found.cases.items(), _conditions(found, average), strict=True):
        limit = Decimal(row["holdsUpToAverage"])
        months.add_row(
            name, f"{case.discount:.0%}", dollars(case.nodes), dollars(case.estimate.total.expected),
            f"{Decimal(row['saving']):.0%}", "holds" if row["holds"] else "fails", "always" if limit >= 1 else f"{limit:.0%}",
        )  # fmt: skip
    console.print(months)
    console.print(f"Saving: of all nodes of the peak on demand all month, at an average load of {average:.0%} of it.")
    console.print(to_yaml(found), markup=False, soft_wrap=True)


def _rate(interruptions: int | None) -> str:
    if interruptions is None:
        return "not known"
    return f"below {BUCKETS[interruptions]:.0%}" if interruptions < len(BUCKETS) - 1 else f"above {BUCKETS[-2]:.0%}"
