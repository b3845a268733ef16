"""The database restarts, is away, or drops every connection, with fifty runs in flight."""

from __future__ import annotations

import pytest

from tests.faults import scenarios
from tests.faults.cluster import open_stage
from tests.faults.load import held
from tests.faults.postgres import OwnPostgres, StopMode

pytestmark = pytest.mark.anyio

SURVIVED_SECONDS = 6.5  # a lease of 10 s was renewed at most 3 s ago; a busy machine may need longer for a start


@pytest.mark.parametrize(("mode", "away"), [("fast", 0), ("immediate", 0), ("immediate", 5)])
async def test_runs_go_on_when_the_database_is_back(
    calm: OwnPostgres, fragile: OwnPostgres, mode: StopMode, away: float
) -> None:
    async with open_stage(fragile.new_database(), calm.new_effects()) as stage:
        figures = await scenarios.stop_postgres(stage, fragile, mode, away)
        held(figures)
        if figures.outage_seconds < SURVIVED_SECONDS:
            assert figures.findings.repeated_steps == 0, "what a step did is kept until it can be stored"


async def test_cut_connections_are_nothing_that_a_run_or_a_client_notices(calm: OwnPostgres) -> None:
    async with open_stage(calm.new_database(), calm.new_effects()) as stage:
        figures = await scenarios.cut_all_connections(stage)
        held(figures)
        assert figures.findings.repeated_steps == 0
