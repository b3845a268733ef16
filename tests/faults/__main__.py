"""`python -m tests.faults`: each fault on fifty runs in flight, measured; `python -m tests.faults soak` for hours."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial
from typing import Any, cast

from rich.table import Table

from stacks.terminal import Exit, Refused, console, errors, run_command
from tests.faults import scenarios
from tests.faults.cluster import Stage, open_stage
from tests.faults.load import Figures
from tests.faults.postgres import OwnPostgres, own_postgres
from tests.service.backends import pgbouncer

Scenario = Callable[[Stage, OwnPostgres], Awaitable[Figures]]


def _on_first(act: Callable[..., Awaitable[Figures]], **options: object) -> Scenario:
    return lambda stage, _: act(stage, stage.cluster.processes[0], **options)


def _on_all(act: Callable[[Stage], Awaitable[Figures]]) -> Scenario:
    return lambda stage, _: act(stage)


SCENARIOS: Mapping[str, Scenario] = {
    "nothing": _on_all(scenarios.nothing),
    "kill-early": _on_first(scenarios.kill, offset=0.2),
    "kill-middle": _on_first(scenarios.kill, offset=1.2),
    "kill-late": _on_first(scenarios.kill, offset=2.0),
    "terminate": _on_first(scenarios.terminate),
    "deploy": _on_all(scenarios.replace_each),
    "freeze": _on_first(scenarios.freeze),
    "cut": _on_all(scenarios.cut_all_connections),
    "restart": partial(scenarios.stop_postgres, mode="fast", away=0),
    "crash": partial(scenarios.stop_postgres, mode="immediate", away=0),
    "away": partial(scenarios.stop_postgres, mode="immediate", away=5),
}


async def measure(name: str, pooler: bool) -> Figures:
    """One scenario on two new processes and a new PostgreSQL."""
    async with AsyncExitStack() as stack:
        fragile, calm = stack.enter_context(own_postgres()), stack.enter_context(own_postgres())
        url = fragile.new_database()
        settings: dict[str, object] = {}
        if pooler:
            settings = {"database_url": stack.enter_context(pgbouncer(url)), "database_direct_url": url}
        stage = await stack.enter_async_context(open_stage(url, calm.new_effects(), **cast("dict[str, Any]", settings)))
        return await SCENARIOS[name](stage, fragile)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="FAULT", help=f"which (default: all of {', '.join(SCENARIOS)})")
    parser.add_argument("--pooler", action="store_true", help="through a PgBouncer in transaction mode")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in SCENARIOS:
            raise Refused(f"fault={name!r}: there is none of this name. Choose from: {', '.join(SCENARIOS)}.")
    measured: list[Figures] = []
    for name in options.names or SCENARIOS:
        errors.print(f"[dim]{name} …[/]")
        measured.append(asyncio.run(measure(name, options.pooler)))
    if options.json:
        sys.stdout.write(json.dumps([asdict(figures) for figures in measured], indent=2) + "\n")
    else:
        _print(measured)
    return Exit.FAILED if any(figures.findings.violations for figures in measured) else Exit.OK


def _print(measured: list[Figures]) -> None:
    titles = ("fault", "runs", "all done", "exit", "steps done again", "late effects", "attempts", "broken promises")
    table = Table(*titles, box=None, header_style="bold", pad_edge=False)
    for figures in measured:
        found = figures.findings
        table.add_row(
            figures.name,
            str(figures.runs),
            f"{figures.done_seconds:.1f} s",
            ", ".join(f"{seconds:.1f} s" for seconds in figures.exit_seconds),
            str(found.repeated_steps),
            str(found.late_effects),
            str(found.attempts),
            str(len(found.violations)),
        )
    console.print(table)
    for figures in measured:
        for sentence in figures.findings.violations[:5]:
            console.print(f"{figures.name}: {sentence}", soft_wrap=True, markup=False)


if __name__ == "__main__":
    sys.exit(run_command(main))
