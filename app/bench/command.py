"""The options of `python -m app bench`, and what it measures."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.bench.levels import Plan, measure
from app.bench.load import converse, warm_up
from app.bench.memory import grow
from app.bench.report import reached, show, table
from app.bench.servers import Laboratory, laboratory
from app.bench.targets import OURS, QUICK, TARGETS, Target
from app.failures import Exit, Refused

ENV_PEERS, ENV_REDIS = "BENCH_PEERS", "BENCH_REDIS_URL"
WHOLE = Plan(2.0, 2, (("wait", 1), ("wait", 16), ("wait", 64), ("stream", 1), ("stream", 64)))
SHORT = Plan(1.0, 1, (("wait", 1), ("wait", 64), ("stream", 64)))
USERS_SECONDS = 60.0
RUNS = 10_000


def bench(arguments: list[str]) -> int:
    """1 when an answer of ours was not the run's final state."""
    options = _parser().parse_args(arguments)
    targets = _chosen(options)
    peers = dict(_peer(given) for given in options.peer or os.environ.get(ENV_PEERS, "").split())
    with TemporaryDirectory(prefix="agent-bench-") as name:
        Path(name).chmod(0o755)  # as root PostgreSQL runs as a user of its own
        with laboratory(Path(name), peers, options.redis) as lab:
            if options.memory or options.users:
                report = _alone(lab, options)
            else:
                plan = SHORT if options.quick else WHOLE
                plan = replace(plan, seconds=options.seconds or plan.seconds, repeats=options.repeats or plan.repeats)
                report = _side_by_side(lab, plan, targets)
                if options.quick:
                    sys.stdout.write("short and noisy: a second each, and no repeat to compare with; see --help\n")
    if options.json:
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        options.json.write_text(json.dumps({"machine": machine, **report}, indent=2) + "\n")
    return Exit.FAILED if report["unfinished"] else Exit.OK


def _side_by_side(lab: Laboratory, plan: Plan, targets: Sequence[Target]) -> dict[str, Any]:
    left_out = {target.name: reason for target in targets if (reason := lab.lacks(target.server))}
    targets = [target for target in targets if target.name not in left_out]
    with ExitStack() as stack:
        servers = {name: stack.enter_context(lab.server(name)) for name in {target.server for target in targets}}
        for server in servers.values():
            warm_up(server, next(target for target in targets if target.server == server.name))
            server.pause()
        levels = list(measure(plan, targets, servers, lab.postgres))
    sys.stdout.write(show(levels))
    for name, reason in left_out.items():
        sys.stdout.write(f"left out: {name}: {reason}\n")
    return {
        "levels": [asdict(level) for level in levels],
        "aims": reached(levels),
        "left_out": left_out,
        "unfinished": sum(level.unfinished for level in levels if level.target.startswith(OURS.name)),
    }


def _alone(lab: Laboratory, options: argparse.Namespace) -> dict[str, Any]:
    with lab.server(OURS.server) as server:
        warm_up(server, OURS)
        if options.memory:
            found, unfinished = grow(server, options.memory), 0
        else:
            seen = converse(server, OURS, options.users, options.seconds or USERS_SECONDS)
            unfinished = seen.unfinished
            found = {
                "users": options.users,
                "seconds": seen.seconds,
                "turns": len(seen.answers),
                "error_rate": seen.errors / (len(seen.answers) + seen.errors),
                **{f"p{part}_ms": seen.ms(part / 100) for part in (50, 95, 99)},
                "load_average": os.getloadavg()[0],
            }
    rows = [[name.replace("_", " "), "–" if value is None else f"{value:,.4g}"] for name, value in found.items()]
    sys.stdout.write(table(["ours", ""], rows))
    return {"memory" if options.memory else "users": found, "unfinished": unfinished}


def _chosen(options: argparse.Namespace) -> Sequence[Target]:
    if not options.targets:
        return QUICK if options.quick else TARGETS
    known = {target.name: target for target in TARGETS}
    names = [name.strip() for name in options.targets.split(";")]
    for name in names:
        if name not in known:
            raise Refused(f"--targets: {name!r}: no such target. Give some of: {'; '.join(known)}.")
    return [known[name] for name in names]


def _peer(given: str) -> tuple[str, str]:
    name, _, python = given.partition("=")
    return name, python


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app bench", description="Measures this service beside others.")
    parser.add_argument("--quick", action="store_true", help="the most telling targets and levels, in a minute")
    parser.add_argument("--targets", help=f"names separated by semicolons, of: {'; '.join(t.name for t in TARGETS)}")
    parser.add_argument("--seconds", type=float, help="how long each target is measured at each level")
    parser.add_argument("--repeats", type=int, help="how often each is measured")
    peer = "peer=PYTHON of the environment it is installed in, for aegra and langhost"
    parser.add_argument("--peer", action="append", help=f"{peer} ({ENV_PEERS})")
    redis = "URL of a Redis for the peers that need one"
    parser.add_argument("--redis", default=os.environ.get(ENV_REDIS), help=f"{redis} ({ENV_REDIS})")
    parser.add_argument("--users", type=int, help="instead: so many people with pauses between turns, for a minute")
    sizes = f"instead: sizes after {RUNS} runs and after pruning"
    parser.add_argument("--memory", type=int, nargs="?", const=RUNS, metavar="RUNS", help=sizes)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    return parser
