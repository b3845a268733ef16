"""`python -m tests.faults.soak`: rounds of random faults, each on new databases, until the time is over or one fails."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from contextlib import AsyncExitStack

from stacks.terminal import Exit, console, run_command
from tests.faults.cluster import open_stage
from tests.faults.load import Figures
from tests.faults.postgres import own_postgres
from tests.faults.schedule import Schedule
from tests.service.backends import pgbouncer

ROUND_SECONDS = 120.0
ROLES = (("all", "all"), ("all", "all", "all"), ("api", "worker", "worker"), ("api", "api", "worker", "worker"))


async def one_round(seed: int, seconds: float) -> tuple[Schedule, Figures]:
    chance = random.Random(~seed)
    roles, pooled = chance.choice(ROLES), chance.random() < 0.25
    async with AsyncExitStack() as stack:
        fragile, calm = stack.enter_context(own_postgres()), stack.enter_context(own_postgres())
        url = fragile.new_database()
        settings: dict[str, object] = {}
        if pooled:
            address = stack.enter_context(pgbouncer(url))
            settings = {"database_url": address, "database_direct_url": url}
        stage = await stack.enter_async_context(open_stage(url, calm.new_effects(), roles, **settings))
        console.print(f"seed {seed}: {', '.join(roles)}{', through PgBouncer' if pooled else ''}")
        schedule = Schedule(stage, fragile, seed)
        return schedule, await schedule.run(seconds)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, help="of the first round; the next ones count on (default: any)")
    parser.add_argument("--round", type=float, default=ROUND_SECONDS, metavar="SECONDS", help="of faults in one round")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else random.randrange(2**31)
    end = time.monotonic() + 60 * options.minutes
    while True:
        schedule, figures = asyncio.run(one_round(seed, options.round))
        found = figures.findings
        done = ", ".join(f"{count} {name}" for name, count in sorted(schedule.done.items()))
        console.print(
            f"  {figures.runs} runs, {found.attempts} attempts; {done or 'no fault'};"
            f" {found.repeated_steps} interrupted steps done again, {found.late_effects} late effects,"
            f" {len(found.violations)} broken promises"
        )
        if found.violations:
            for sentence in found.violations[:20]:
                console.print("  " + sentence, soft_wrap=True, markup=False)
            console.print(f"again: python -m tests.faults.soak --seed {seed} --minutes 0 --round {options.round:g}")
            return Exit.FAILED
        if time.monotonic() > end:
            return Exit.OK
        seed += 1


if __name__ == "__main__":
    sys.exit(run_command(main))
