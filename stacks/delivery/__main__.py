"""``python -m stacks.delivery``: plan, apply, drift, and pipeline, which runs them here against the embedded cloud."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from stacks import local_service
from stacks.configuration import ROOT, read_settings
from stacks.delivery.binding import read
from stacks.delivery.deliver import apply, plan
from stacks.delivery.drift import look, report
from stacks.delivery.smoke import smoke, watched
from stacks.delivery.target import Aws, Embedded, Target
from stacks.embedded import NOTICE
from stacks.review import __main__ as review
from stacks.review.base import commit_of
from stacks.review.github import GitHub
from stacks.review.review import GATES
from stacks.terminal import Exit, Refused, console, errors, run_command
from tools.activity import shown
from tools.catalogue import Unavailable
from tools.obtain import obtain


def main(arguments: list[str]) -> int:
    """Parse, and do one step or all of them."""
    chosen = _parser().parse_args(arguments)
    read_settings(chosen.stack)
    commit, now = commit_of("HEAD"), datetime.now(UTC)
    if chosen.command == "pipeline":
        return pipeline(Embedded(chosen.stack, _pulumi(), chosen.root), commit, lambda: _local_smoke(chosen.fail_smoke))
    target: Target = Aws(chosen.stack, _pulumi(), getattr(chosen, "image", None))
    if chosen.command == "plan":
        return planned(target, commit, now, chosen)
    if chosen.command == "apply":
        reviewed = read(chosen.plan.read_text())
        apply(target, reviewed, commit, now, lambda: watched(chosen.url, chosen.watch), chosen.digest)
    else:
        seen = look(target)
        console.print(seen.text(), markup=False)
        if chosen.issue:
            report(GitHub(os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"]), seen)
        return seen.code
    return Exit.OK


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


def _pulumi() -> Path:
    try:
        with shown(errors) as progress:
            return obtain("pulumi", progress).path
    except Unavailable as reason:
        raise Refused(f"no pulumi command: {reason}", Exit.MISSING) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.delivery", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    rows = {
        "plan": "preview with policies, and bind what was seen to commit, configuration and state",
        "apply": "apply a plan that was reviewed, ask the service, go back when it does not answer",
        "drift": "compare the cloud with the state; exit 1 for drift, 3 when it could not look",
        "pipeline": "plan, apply and ask, here, against the embedded cloud (make pipeline)",
    }
    for name, text in rows.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--stack", default="dev")
        if name == "plan":
            command.add_argument("--output", type=Path, required=True, help="folder for plan.json and the review")
            command.add_argument("--base", default="main", help="the commit to review against")
            command.add_argument(
                "--accept", action="append", default=[], choices=GATES, help="a gate that a label opens"
            )
        elif name == "apply":
            command.add_argument("--plan", type=Path, required=True, help="the plan.json that was reviewed")
            command.add_argument("--digest", required=True, help="the digest that the reviewer saw")
            command.add_argument("--url", required=True, help="where the service answers")
            command.add_argument("--watch", type=int, default=0, metavar="MINUTES", help="ask again for so long")
        if name in ("plan", "apply"):
            command.add_argument("--image", help="repository@sha256:… in place of service.image")
        elif name == "drift":
            command.add_argument("--issue", action="store_true", help="open, update or close the stack's issue")
        elif name == "pipeline":
            command.add_argument("--root", type=Path, default=ROOT / ".embedded", help="where embedded clouds are kept")
            command.add_argument("--fail-smoke", action="store_true", help="see the old version come back")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
