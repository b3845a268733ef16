"""Run the tests (`make test`): obtain the tools first, and say in one line which tier is left out and why."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.markup import escape

from stacks.terminal import console, errors, run_command
from tools.activity import shown
from tools.catalogue import CONTROL_PLANE, Unavailable
from tools.obtain import obtain

ROOT = Path(__file__).resolve().parent.parent
# pytest marker → the tools its tests cannot do without
TIERS = {
    "engine": ("pulumi",),
    "cluster": ("pulumi", "helm", *(tool.name for tool in CONTROL_PLANE)),
    "rules": ("promtool", "amtool"),
    "compose": ("promtool", "nginx", "compose-spec"),
}
# What the quick run leaves out: each test of theirs starts processes.
SLOW_TIERS = ("engine", "cluster", "rules", "compose", "service")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.tiers", description="Run the tests.")
    parser.add_argument("--quick", action="store_true", help="only the tests that need Python packages and no tool")
    parser.add_argument("rest", nargs="*", metavar="-- ARGUMENT", help="passed on to pytest")
    options = parser.parse_args(arguments)
    left_out = dict.fromkeys(SLOW_TIERS, "make test runs it") if options.quick else missing_tiers()
    for tier, reason in left_out.items():
        console.print(f"[yellow]left out:[/] tier {tier}: {escape(reason)}", soft_wrap=True)
    return run_pytest(list(left_out), options.rest)


def missing_tiers() -> dict[str, str]:
    """The tiers whose tool cannot be had, with the reason; the other tools are ready afterwards."""
    missing: dict[str, str] = {}
    for tier, tools in TIERS.items():
        try:
            with shown(errors) as report:
                found = [obtain(tool, report) for tool in tools]
        except Unavailable as reason:
            missing[tier] = str(reason)
        else:
            have = ", ".join(f"{tool.name} {tool.version} ({tool.origin})" for tool in found)
            console.print(f"tier {tier}: {have}", soft_wrap=True)
    return missing


def run_pytest(without: list[str], rest: list[str]) -> int:
    """Become pytest: its closing line is the last one, and its exit code is ours."""
    # Two workers on two cores; a file stays on one worker, which keeps a file's fixtures (a database, a stack) in one.
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile"]
    # A worker that ended, as one whose test hung, is not replaced: xdist 3.8 would then wait for ever at the end.
    command += ["--max-worker-restart", "0"]
    if without:
        command += ["-m", " and ".join(f"not {tier}" for tier in without)]
    sys.stdout.flush()
    os.chdir(ROOT)
    os.execv(command[0], [*command, *rest])  # noqa: S606  our own interpreter with our own arguments


if __name__ == "__main__":
    sys.exit(run_command(main))
