"""A queue on a database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from app.runtime.connection import connection_string
from app.runtime.database import Pool, create_pool
from app.runtime.run_queue import RunQueue
from app.runtime.schema import migrate
from app.runtime.signals import Signals
from app.settings import Settings
from tests.service.run_queue.queueing import make_queue


@pytest.fixture
async def pool(settings: Settings) -> AsyncGenerator[Pool]:
    await migrate(connection_string(settings))
    async with create_pool(settings) as opened:
        yield opened


@pytest.fixture
def signals(settings: Settings) -> Signals:
    return Signals(connection_string(settings))


@pytest.fixture
def queue(pool: Pool, signals: Signals) -> RunQueue:
    return make_queue(pool, signals)
