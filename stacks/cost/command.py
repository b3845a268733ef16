"""``python -m stacks.cost --stack prod``, or with a stack's ``billing`` output on standard input."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import yaml

from stacks.cost import delta as deltas
from stacks.cost import prices as price_table
from stacks.cost import sources, usage
from stacks.cost.amounts import read_dollars
from stacks.cost.compare_command import compare_command
from stacks.cost.delta import Delta, Gate
from stacks.cost.estimate import Estimate, as_data, estimate_resources
from stacks.cost.facts import billed
from stacks.cost.load import load_of_month
from stacks.cost.optimise_command import optimise_command
from stacks.cost.plan import Plan, growth
from stacks.cost.plan_command import base_of, plan_command
from stacks.cost.refresh import refresh_command
from stacks.cost.saving import saving_command
from stacks.cost.spot_command import spot_command
from stacks.terminal import Exit, Refused, console, errors


@dataclass(frozen=True)
class Answer:
    """An estimate, what changed where the source tells it, the gate, and what it refuses."""

    estimate: Estimate
    delta: Delta | None
    gate: Gate | None
    refusals: list[str]
    warnings: list[str]
    growth: list[Plan]  # of a stack of this checkout, where the page asks for it


def main(arguments: list[str]) -> int:
    """Estimate a stack's monthly cost; exit code 1 when the budget gate refuses it."""
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:]) or Exit.OK
    chosen = _parser().parse_args(arguments)
    answer = answered(chosen)
    _write(chosen, answer)
    for refusal in answer.refusals:
        errors.print("[bold red]refused by the budget gate:[/]", refusal, soft_wrap=True)
    return Exit.FAILED if answer.refusals else Exit.OK


def answered(chosen: argparse.Namespace) -> Answer:
    """What the arguments ask for."""
    today = chosen.date or datetime.now(UTC).date()
    prices = price_table.load(chosen.prices)
    found, budget = _found(chosen)
    assumed = _usage(chosen.usage, found.stack)
    known = {row.region for row in found.resources} & set(prices.regions)
    if found.resources and not known:
        regions = ", ".join(sorted({row.region or "(none)" for row in found.resources}))
        rule = f"no price of this region is here; known are {', '.join(prices.regions)}"
        raise Refused(f"region={regions}: {rule}. {price_table.REFRESH}")
    after = estimate_resources(found.stack, found.resources, assumed, prices, today)
    change = None
    if found.before is not None:
        before = estimate_resources(found.stack, found.before, assumed, prices, today)
        change = deltas.difference(before, after)
    allowed: Decimal | None = chosen.budget or budget
    gate = Gate(allowed, chosen.most_added, chosen.override) if allowed or chosen.most_added else None
    stale = price_table.staleness(prices, today)
    refusals = deltas.refusals(gate, after, change) if gate else []
    growing: list[Plan] = []
    if chosen.html and budget is not None and assumed.runs_per_month:
        base = replace(base_of(found.stack), usage=assumed, prices=prices)
        growing = growth(base, load_of_month(assumed.runs_per_month))
    return Answer(after, change, gate, refusals, [stale] if stale else [], growing)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stacks.cost",
        description=main.__doc__,
        epilog=f"Further: {', '.join(COMMANDS)} (each has --help)",
    )
    parser.add_argument("--stack", help="which Pulumi.<stack>.yaml, captured in process (default without input: dev)")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        help="a billing output, a state export or a preview's events; - is stdin",
    )
    parser.add_argument(
        "--before", type=Path, metavar="FILE", help="the same of the state before: shows the difference"
    )
    parser.add_argument("--usage", type=Path, help="assumptions (default: stacks/cost/usage/<stack>.yaml)")
    parser.add_argument("--prices", type=Path, default=price_table.TABLE, help="the price table")
    parser.add_argument(
        "--budget", type=read_dollars, help="refuse above this many dollars a month (default: budget.monthlyUsd)"
    )
    parser.add_argument("--most-added", type=read_dollars, help="refuse a change that adds more than this a month")
    parser.add_argument(
        "--override", default="", metavar="REASON", help="let it pass the gate all the same, and say why"
    )
    parser.add_argument("--date", type=date.fromisoformat, help="the day for support dates and the age of prices")
    parser.add_argument("--json", action="store_true", help="for machines")
    for kind in ("markdown", "html"):
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE", help=f"write the {kind} report too")
    return parser


def _found(chosen: argparse.Namespace) -> tuple[sources.Found, Decimal | None]:
    """The resources, and the budget where the settings are at hand."""
    piped = chosen.stack is None and chosen.source is None and not sys.stdin.isatty()
    if chosen.source or piped:
        found = _read(chosen.source or "-")
        budget = None
    else:
        found, budget = _captured(chosen.stack or "dev")
    if chosen.before:
        found = sources.Found(found.stack, found.resources, _read(str(chosen.before)).resources)
    return found, budget


def _captured(stack: str) -> tuple[sources.Found, Decimal]:
    from stacks.capture import capture
    from stacks.configuration import read_stack, settings_of, with_checkout_image

    config, _ = with_checkout_image(read_stack(stack))
    settings = settings_of(config, f"Pulumi.{stack}.yaml")
    return sources.Found(stack, billed(capture(settings, stack))), Decimal(settings.budget.monthly_usd)


def _read(source: str) -> sources.Found:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
    except (OSError, UnicodeDecodeError) as failure:
        raise Refused(f"{source}: cannot be read ({failure}).") from None
    return sources.read(text, "standard input" if source == "-" else source)


def _usage(path: Path | None, stack: str) -> usage.Usage:
    if path is None:
        return usage.read(stack)
    try:
        return usage.parse(yaml.safe_load(path.read_text()), path.name)
    except (OSError, yaml.YAMLError) as failure:
        raise Refused(f"{path}: is no usage file ({failure}). stacks/cost/usage has two.") from None


def _write(chosen: argparse.Namespace, answer: Answer) -> None:
    from stacks.cost.page import page_of
    from stacks.cost.report import markdown, show

    if chosen.markdown:
        chosen.markdown.write_text(markdown(answer))
    if chosen.html:
        chosen.html.write_text(page_of(answer))
    if chosen.json:
        data = as_data(answer.estimate)
        data["delta"] = answer.delta and deltas.as_data(answer.delta)
        data["refusals"], data["warnings"] = answer.refusals, answer.warnings
        sys.stdout.write(json.dumps(data, indent=2) + "\n")
    else:
        show(answer)


def check_prices(arguments: list[str]) -> int:
    """Check the price table's form and age: warns after 45 days, fails after 120 (part of `make check`)."""
    parser = argparse.ArgumentParser(prog="python -m stacks.cost prices", description=check_prices.__doc__)
    parser.add_argument("--date", type=date.fromisoformat, help="as of this day (default: today)")
    chosen = parser.parse_args(arguments)
    today = chosen.date or datetime.now(UTC).date()
    prices = price_table.load()
    price_table.require_fresh(prices, today)
    if warning := price_table.staleness(prices, today):
        errors.print("[yellow]warning:[/]", warning, soft_wrap=True)
    if old := price_table.second_hand(prices, today):
        rule = f"older than {price_table.FAIL_AFTER.days} days and not confirmed by AWS's Price List"
        errors.print(
            "[yellow]warning:[/]", f"{old} prices are from sources {rule}. {price_table.REFRESH}", soft_wrap=True
        )
    open_ones = sum(not row.confirmed for row in prices.rows)
    console.print(
        f"{len(prices.rows)} prices, read on {prices.read}; {open_ones} of them not confirmed by their source"
    )
    return Exit.OK


COMMANDS: Mapping[str, Callable[[list[str]], int | None]] = {
    "compare": compare_command,
    "optimise": optimise_command,
    "plan": plan_command,
    "prices": check_prices,
    "refresh": refresh_command,
    "saving": saving_command,
    "spot": spot_command,
}
