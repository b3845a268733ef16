"""LangGraph's own suite for savers: which of its capabilities are there, and that every one of its cases passes."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate

from app.runtime.checkpoints import PooledSaver
from app.runtime.database import create_pool
from app.runtime.schema import migrate
from app.settings import Settings

pytestmark = pytest.mark.anyio

# Of langgraph-checkpoint-conformance 0.0.2. The stock saver has neither copy_thread nor delete_for_runs.
CASES = {
    "put": 17,
    "put_writes": 10,
    "get_tuple": 10,
    "list": 16,
    "delete_thread": 5,
    "delete_for_runs": 7,
    "copy_thread": 8,
    "prune": 8,
}


async def test_it_has_every_capability_and_passes_every_case(settings: Settings, database_url: str) -> None:
    await migrate(lambda: database_url)
    async with create_pool(settings) as pool:

        @checkpointer_test(name="PooledSaver")
        async def pooled() -> AsyncGenerator[BaseCheckpointSaver[str]]:
            yield PooledSaver(pool)

        report = await validate(pooled)
    failures = [failure for result in report.results.values() for failure in result.failures]
    assert not failures
    assert {name: result.tests_passed for name, result in report.results.items() if result.detected} == CASES
