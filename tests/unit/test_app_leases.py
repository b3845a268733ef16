"""The task that renews leases, apart from the database: a stop ends it, whatever comes at that moment."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from app.runtime.leases import LeaseKeeper

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("turns", range(5))
async def test_a_stop_that_comes_as_a_cancellation_is_asked_for_ends_it(turns: int) -> None:
    """Python 3.11's asyncio.wait_for would swallow the stop at one of these turns of the event loop (bpo-37658)."""
    keeper = LeaseKeeper(cast("Any", None), dict, cast("Any", None))
    keeping = asyncio.create_task(keeper.keep_forever())
    await asyncio.sleep(0.01)
    keeper.look_now()
    for _ in range(turns):
        await asyncio.sleep(0)
    keeping.cancel()
    done, _ = await asyncio.wait({keeping}, timeout=5)
    keeping.cancel()
    assert done == {keeping}
