"""Servers for the tests of faults, one each for a test process; the databases on them are a test's own."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from app.settings import PREFIX
from tests.faults.cluster import Stage, open_stage
from tests.faults.postgres import OwnPostgres, own_postgres


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("service")
            item.add_marker("faults")
            item.add_marker(pytest.mark.filterwarnings("ignore:Request failed, attempting reconnect"))


@pytest.fixture(scope="session", autouse=True)
def no_settings_from_outside() -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def calm() -> Generator[OwnPostgres]:
    """Nothing happens to this server: what must survive everything is here."""
    with own_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def fragile() -> Generator[OwnPostgres]:
    """Tests stop this one, and leave it running."""
    with own_postgres() as server:
        yield server


@pytest.fixture
async def stage(calm: OwnPostgres) -> AsyncGenerator[Stage]:
    """Two processes, each API and worker."""
    async with open_stage(calm.new_database(), calm.new_effects()) as opened:
        yield opened
