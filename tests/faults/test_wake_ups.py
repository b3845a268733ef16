"""Valkey goes and comes back: it only wakes, so nothing but a moment may be lost."""

from __future__ import annotations

import pytest

from tests.faults import scenarios
from tests.faults.cluster import open_stage
from tests.faults.load import held
from tests.faults.postgres import OwnPostgres
from tests.service.backends import redis_server

pytestmark = pytest.mark.anyio


async def test_runs_are_claimed_and_streams_go_on_without_valkey(calm: OwnPostgres) -> None:
    roles = ("api", "worker", "worker")  # each run has to be told of, and each of its events
    with redis_server() as redis:
        async with open_stage(calm.new_database(), calm.new_effects(), roles, valkey_url=redis.url) as stage:
            held(await scenarios.lose_wake_ups(stage, redis.kill, redis.start), done_within=5)
