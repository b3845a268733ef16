"""One writer a thread, by the database's clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import LiteralString

import pytest

from app.runtime.database import Pool, create_pool
from app.runtime.problems import LeaseLost, ThreadBusy
from app.runtime.schema import migrate
from app.runtime.thread_leases import ThreadLeases
from app.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pool(settings: Settings) -> AsyncGenerator[Pool]:
    await migrate(lambda: settings.database_url.get_secret_value() if settings.database_url else "")
    async with create_pool(settings) as opened:
        yield opened


@asynccontextmanager
async def renewing(leases: ThreadLeases) -> AsyncGenerator[None]:
    task = asyncio.create_task(leases.renew_forever())
    yield
    task.cancel()


async def take(leases: ThreadLeases, thread_id: str = "t") -> None:
    async with leases.hold(thread_id):
        pass


async def execute(pool: Pool, statement: LiteralString) -> None:
    async with pool.connection() as connection:
        await connection.execute(statement)


async def test_a_held_thread_is_busy_for_this_and_for_any_other_process(pool: Pool) -> None:
    here, elsewhere = ThreadLeases(pool), ThreadLeases(pool)
    async with here.hold("t"):
        for leases in (here, elsewhere):
            with pytest.raises(ThreadBusy):
                await take(leases)
        await take(elsewhere, "another")
    await take(elsewhere)


async def test_of_many_that_ask_at_once_one_gets_the_thread(pool: Pool) -> None:
    leases = ThreadLeases(pool)
    async with AsyncExitStack() as stack:
        asked = await asyncio.gather(
            *(stack.enter_async_context(leases.hold("t")) for _ in range(20)), return_exceptions=True
        )
        assert [type(answer) for answer in asked].count(ThreadBusy) == 19


async def test_the_lease_of_a_killed_process_ends_by_itself(pool: Pool) -> None:
    dead, alive = ThreadLeases(pool, lease_seconds=0.5), ThreadLeases(pool)

    async def die_holding() -> None:
        async with dead.hold("t"):
            # A killed process does not release: its row stays, here under another name.
            await execute(pool, "UPDATE thread_leases SET holder = gen_random_uuid()")
            with pytest.raises(ThreadBusy):
                await take(alive)
            await asyncio.sleep(5)

    with pytest.raises(LeaseLost):
        await die_holding()
    await asyncio.sleep(0.1)  # the holder stops a little before the database's time is up
    await take(alive)


async def test_a_long_run_keeps_its_lease_while_it_is_renewed(pool: Pool) -> None:
    leases = ThreadLeases(pool, lease_seconds=0.6, renew_seconds=0.1)
    async with renewing(leases), leases.hold("t"):
        await asyncio.sleep(1.5)
        with pytest.raises(ThreadBusy):
            await take(ThreadLeases(pool))


async def test_a_run_whose_lease_was_taken_is_stopped_before_the_lease_would_have_ended_twice(pool: Pool) -> None:
    leases = ThreadLeases(pool, lease_seconds=0.6, renew_seconds=0.1)
    finished = False

    async def lose_it() -> None:
        nonlocal finished
        async with renewing(leases), leases.hold("t"):
            await execute(pool, "UPDATE thread_leases SET holder = gen_random_uuid()")
            await asyncio.sleep(10)
            finished = True

    with pytest.raises(LeaseLost):
        await lose_it()
    assert not finished


async def test_a_lost_lease_is_not_released_for_its_new_holder(pool: Pool) -> None:
    old, new = ThreadLeases(pool, lease_seconds=0.3), ThreadLeases(pool)
    async with AsyncExitStack() as taken:

        async def be_overtaken() -> None:
            async with old.hold("t"):
                await execute(pool, "UPDATE thread_leases SET expires_at = now()")
                await taken.enter_async_context(new.hold("t"))
                await asyncio.sleep(5)

        with pytest.raises(LeaseLost):
            await be_overtaken()
        with pytest.raises(ThreadBusy):
            await take(old)
