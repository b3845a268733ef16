"""The main faults again, with a PgBouncer in transaction mode between the service and its database."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tests.faults import scenarios
from tests.faults.cluster import Stage, open_stage
from tests.faults.load import held
from tests.faults.postgres import OwnPostgres
from tests.service.backends import pgbouncer

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def open_pooled_stage(server: OwnPostgres, calm: OwnPostgres) -> AsyncGenerator[Stage]:
    url = server.new_database()
    with pgbouncer(url) as pooled_url:
        pooled = {"database_url": pooled_url, "database_direct_url": url}
        async with open_stage(url, calm.new_effects(), **pooled) as stage:
            yield stage


async def test_runs_of_a_killed_process_end_elsewhere(calm: OwnPostgres) -> None:
    async with open_pooled_stage(calm, calm) as stage:
        held(await scenarios.kill(stage, stage.cluster.processes[0], offset=2.3), done_within=15)


async def test_sigterm_hands_runs_over_at_their_next_step(calm: OwnPostgres) -> None:
    async with open_pooled_stage(calm, calm) as stage:
        figures = await scenarios.terminate(stage, stage.cluster.processes[0])
        held(figures, done_within=5, exit_within=2)
        assert figures.findings.repeated_steps == 0
    assert figures.findings.failures == 0


async def test_runs_go_on_when_the_database_behind_the_pooler_is_back(calm: OwnPostgres, fragile: OwnPostgres) -> None:
    async with open_pooled_stage(fragile, calm) as stage:
        held(await scenarios.stop_postgres(stage, fragile, "immediate", away=0))
