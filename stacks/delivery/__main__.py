"""``python -m stacks.delivery``: a change from its plan to where it runs, what is looked at regularly, and all of it here."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from stacks import local_service
from stacks.configuration import ROOT, read_settings
from stacks.delivery import canary, drift, restore_drill
from stacks.delivery.binding import read
from stacks.delivery.deliver import apply, plan
from stacks.delivery.price_change import price_proposal
from stacks.delivery.propose import propose
from stacks.delivery.smoke import smoke, watched
from stacks.delivery.target import Aws, Embedded, Target
from stacks.embedded import NOTICE
from stacks.review import __main__ as review
from stacks.review.base import commit_of
from stacks.review.github import from_environment, keep_issue
from stacks.review.review import GATES
from stacks.terminal import Exit, Refused, console, errors, run_command, subcommand
from tools.activity import shown
from tools.obtain import required


def main(arguments: list[str]) -> int:
    """Parse, and do one step or all of them."""
    chosen = _parser().parse_args(arguments)
    if chosen.command == "propose-prices":
        return proposed(chosen.report)
    settings = read_settings(chosen.stack)
    commit, now = commit_of("HEAD"), datetime.now(UTC)
    if chosen.command == "restore-drill":
        return told(restore_drill.look(settings, chosen.stack, now, chosen.profile), "Restore drill of", chosen)
    pulumi = required("pulumi")
    if chosen.command == "pipeline":
        return pipeline(Embedded(chosen.stack, pulumi, chosen.root), commit, lambda: _local_smoke(chosen.fail_smoke))
    target: Target = Aws(chosen.stack, pulumi, getattr(chosen, "image", None))
    if chosen.command == "plan":
        return planned(target, commit, now, chosen)
    if chosen.command == "drift":
        return told(drift.look(target), "Drift in", chosen)
    key = os.environ.get("SERVICE_KEY", "")  # never an argument: others on the machine see those
    reviewed = read(chosen.plan.read_text())
    check = partial(smoke, chosen.url, key)
    if settings.canary:
        check = partial(watched, chosen.url, chosen.watch, key, partial(canary.look, settings, chosen.stack))
    apply(target, reviewed, commit, now, check, chosen.digest)
    return Exit.OK


def told(seen: drift.Look | restore_drill.Drill, what: str, chosen: argparse.Namespace) -> int:
    """What was seen, to people and where it is asked for to the stack's one issue about it."""
    console.print(seen.text(), markup=False)
    if chosen.issue:
        wanted = seen.code is not Exit.OK
        keep_issue(from_environment(), f"{what} {seen.stack}", seen.text(), chosen.command, wanted=wanted)
    return seen.code


def proposed(report: Path) -> int:
    """Propose a refreshed price table, if it differs from main's."""
    proposal, code = price_proposal(report)
    address = propose(from_environment(), proposal) if proposal.files else ""
    console.print(address or "the price table is as main has it", markup=False)
    return code


def planned(target: Target, commit: str, now: datetime, chosen: argparse.Namespace) -> int:
    """Plan, and review what was planned: its events beside the graphs of both commits. People judge the review."""
    folder: Path = chosen.output
    bound = plan(target, commit, now, folder)
    (folder / "digest").write_text(bound.digest)
    events = f"{target.stack}={folder / 'events.jsonl'}"
    arguments = ["--base", chosen.base, "--stack", target.stack, "--events", events, "--client-side"]
    arguments += [word for gate in chosen.accept for word in ("--accept", gate)]
    review.main([*arguments, "--note", f"plan={bound.digest}", "--output", str(folder / "review")])
    return Exit.OK


def pipeline(target: Target, commit: str, check: Callable[[], str]) -> int:
    """Plan, apply, ask: the deploy workflow's path."""
    errors.print(f"[dim]{NOTICE}[/]", soft_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        bound = plan(target, commit, datetime.now(UTC), Path(folder))
        console.print(f"{target.stack}: planned, and bound as {bound.digest[:12]}", markup=False)
        apply(target, bound, commit, datetime.now(UTC), check, bound.digest)
    return Exit.OK


def _local_smoke(fail: bool) -> str:
    """The service of this checkout on a port of its own, asked, and ended again."""
    if fail:
        raise Refused("the smoke test fails, as --fail-smoke asks.", Exit.FAILED)
    with tempfile.TemporaryDirectory() as folder, shown(errors) as progress:
        service = local_service.start(Path(folder), local_service.free_port(), progress)
        try:
            return smoke(service.address)
        finally:
            local_service.stop(Path(folder), progress)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.delivery", description=__doc__)
    add = parser.add_subparsers(dest="command", required=True).add_parser
    planning = subcommand(
        add, "plan", "preview with policies, and bind what was seen to commit, configuration and state"
    )
    planning.add_argument("--output", type=Path, required=True, help="folder for plan.json and the review")
    planning.add_argument("--base", default="main", help="the commit to review against")
    planning.add_argument("--accept", action="append", default=[], choices=GATES, help="a gate that a label opens")
    applying = subcommand(
        add, "apply", "apply a plan that was reviewed, ask the service, go back when it does not answer"
    )
    applying.add_argument("--plan", type=Path, required=True, help="the plan.json that was reviewed")
    applying.add_argument("--digest", required=True, help="the digest that the reviewer saw")
    applying.add_argument("--url", required=True, help="where the service answers")
    applying.add_argument("--watch", type=int, default=0, metavar="MINUTES", help="how long a canary may take")
    for command in (planning, applying):
        command.add_argument("--image", help="repository@sha256:… in place of service.image")
    looks = [
        subcommand(add, "drift", "compare the cloud with the state; exit 1 for drift, 3 when it could not look"),
        subcommand(
            add, "restore-drill", "whether the last restore test did; exit 1 when not, 3 when it could not look"
        ),
    ]
    for command in looks:
        command.add_argument("--issue", action="store_true", help="open, update or close the stack's issue")
    looks[1].add_argument("--profile", help="AWS profile")
    running = subcommand(add, "pipeline", "plan, apply and ask, here, against the embedded cloud (make pipeline)")
    running.add_argument("--root", type=Path, default=ROOT / ".embedded", help="where embedded clouds are kept")
    running.add_argument("--fail-smoke", action="store_true", help="see the old version come back")
    text = "bring a refreshed price table into its pull request; exit 1 when a meter was not to be had"
    proposing = add("propose-prices", help=text, description=text)
    proposing.add_argument("--report", type=Path, required=True, help="what stacks.cost refresh --apply --json told")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
