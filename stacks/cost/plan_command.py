"""``python -m stacks.cost plan``: users to settings and cost, or a budget to users."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from infra.node_mix import node_limits
from stacks.cost import prices, usage
from stacks.cost.amounts import cents, dollars, read_dollars
from stacks.cost.facts import billed
from stacks.cost.load import Load, load_of
from stacks.cost.plan import Base, Plan, growth, most_users, plan
from stacks.cost.report import bar, span
from stacks.cost.settings_change import pasted
from stacks.terminal import Refused, console


def plan_command(arguments: list[str]) -> None:
    """Size an environment for a number of users, or find how many a budget carries."""
    chosen = vars(_parser().parse_args(arguments))
    load = load_of({"users": 1, **{name: chosen[name] for name in Load.model_fields if chosen[name] is not None}})
    base = base_of(chosen["stack"])
    found = plan(base, load) if chosen["users"] is not None else most_users(base, load, chosen["budget"])
    if chosen["json"]:
        sys.stdout.write(json.dumps(as_data(found), indent=2) + "\n")
    elif chosen["yaml"]:
        sys.stdout.write(to_yaml(found))
    else:
        _show(base, found)


def base_of(stack: str) -> Base:
    """A stack of this checkout as the thing to plan from."""
    from stacks.capture import capture
    from stacks.configuration import read_stack, settings_of, with_checkout_image

    config, source = read_stack(stack), f"Pulumi.{stack}.yaml"
    whole = settings_of(with_checkout_image(config)[0], source)
    resources = tuple(billed(capture(whole, stack)))
    return Base(stack, config, settings_of(config, source), resources, usage.read(stack), prices.load())


def as_data(found: Plan) -> dict[str, Any]:
    """A plan for machines; ``settings`` are the sections to paste."""
    total = found.estimate.total
    return {
        "version": 1,
        "load": found.load.model_dump(by_alias=True),
        "demand": {
            "runsPerSecond": found.demand.runs_per_second,
            "inFlight": found.demand.in_flight,
            "podsByRuns": found.demand.pods_by_runs,
            "podsByCpu": found.demand.pods_by_cpu,
            "tokensPerMinute": found.demand.tokens_per_minute,
            "checkpointGbPerDay": found.demand.checkpoint_gb_per_day,
        },
        "nodes": {"atThePeak": found.nodes, "limit": found.settings.nodes.workers.max_nodes},
        "settings": found.sections,
        "monthlyUsd": {"low": str(cents(total.low)), "expected": str(cents(total.expected)), "high": str(cents(total.high))},
        "usdPerUser": str(cents(found.cost_per_user)),
        "usdPerThousandRuns": str(cents(found.cost_per_thousand_runs)),
        "unpriced": len(found.estimate.unpriced),
    }  # fmt: skip


def to_yaml(found: Plan) -> str:
    """The sections, ready to take the place of the file's."""
    return pasted(found.estimate.stack, found.sections, f"For {found.load.users:,} users")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.cost plan", description=plan_command.__doc__)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--users", help=Load.model_fields["users"].description)
    asked.add_argument("--budget", type=read_dollars, help="dollars a month: how many users does it carry?")
    parser.add_argument("--stack", default="prod", help="whose settings to start from (default: prod)")
    for name, field in Load.model_fields.items():
        if name != "users":
            parser.add_argument(f"--{name.replace('_', '-')}", help=f"{field.description} (default: {field.default})")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--yaml", action="store_true", help="the settings only")
    form.add_argument("--json", action="store_true", help="for machines")
    return parser


def _show(base: Base, found: Plan) -> None:
    table = Table(
        "what", "how much", "because", title=f"{base.stack} for {found.load.users:,} users", title_justify="left"
    )
    for what, (value, why) in _rows(found).items():
        table.add_row(what, value, escape(why))
    console.print(table)
    console.print(_growth(base, found))
    console.print(to_yaml(found), markup=False, soft_wrap=True)
    budget, expected = found.settings.budget.monthly_usd, found.estimate.total.expected
    if expected > budget:
        console.print(f"Above budget.monthlyUsd={budget}: the budget gate refuses it until that is raised.")
    try:
        plan(base, found.load.model_copy(update={"users": found.load.users + 1}))
    except Refused as limit:
        console.print("More users do not fit:", escape(str(limit)), soft_wrap=True)


def _rows(found: Plan) -> Mapping[str, tuple[str, str]]:
    load, demand, settings = found.load, found.demand, found.settings
    service, database = settings.service, settings.database
    asked, allowed = found.connections
    total, limits = found.estimate.total, node_limits(settings.nodes.workers.max_nodes)
    return {
        "runs a second": (f"{demand.runs_per_second:,.1f}", f"users / ({load.think_seconds:g} + {load.run_seconds:g} s)"),
        "runs in flight": (f"{demand.in_flight:,.0f}", "Little's law: runs a second × seconds of a run"),
        "worker pods": (
            f"{service.workers.max_replicas}",
            f"{demand.pods_by_runs} by runs in flight, {demand.pods_by_cpu} by CPU, at least {service.workers.min_replicas}",
        ),
        "API pods": (f"{service.api.max_replicas}", f"{load.users_per_api_pod:g} users each, at least {service.api.min_replicas}"),
        "nodes at the peak": (f"{found.nodes}", f"of the smallest type; {found.least_nodes} at the least"),
        "node limit": (
            f"{settings.nodes.workers.max_nodes}",
            f"the peak with a zone lost; {limits['on-demand']} of them on demand, {limits['spot']} on Spot",
        ),
        "database": (database.instance_class, f"{demand.database_vcpu:.2f} vCPUs busy; {asked} of {allowed} connections"),
        "checkpoints": (f"{demand.checkpoint_gb_per_day:,.1f} GB a day", f"{load.keep_days:g} days kept: {database.storage_gib} GiB"),
        "cache": (settings.cache.node_type, f"{demand.messages_per_second:,.0f} messages a second, {demand.stream_gib:.2f} GiB"),
        "model tokens a minute": (f"{demand.tokens_per_minute:,.0f}", "your provider's quota must allow it; not in the cost"),
        "a month": (dollars(total.expected), f"{span(total)}, without {len(found.estimate.unpriced)} unpriced lines"),
        "per user": (dollars(found.cost_per_user), "a month"),
        "per 1,000 runs": (dollars(found.cost_per_thousand_runs), f"of {demand.runs_per_month:,.0f} a month"),
    }  # fmt: skip


def _growth(base: Base, found: Plan) -> Table:
    table = Table("users", "nodes", "database", "a month", "", "per user", title="as it grows", title_justify="left")
    rows = growth(base, found.load)
    for row in rows:
        expected, most = row.estimate.total.expected, rows[-1].estimate.total.expected
        name, blocks = row.settings.database.instance_class, bar(expected, most)
        table.add_row(
            f"{row.load.users:,}", str(row.nodes), name, dollars(expected), blocks, dollars(row.cost_per_user)
        )
    return table
