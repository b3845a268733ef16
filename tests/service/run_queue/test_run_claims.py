"""What the queue gives out: the order, claims, leases, failures and ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app.observability.metrics import Metrics
from app.runtime.database import Pool
from app.runtime.leases import MOST_FAILURES, Reaper
from app.runtime.run import Outcome, Priority
from app.runtime.run_queue import RunQueue
from app.runtime.signals import Signals
from app.security.caller import LAPTOP
from app.tables import run_acceptance, run_claims, runs, threads
from app.tables.run_acceptance import Acceptance
from app.tables.run_claims import Finished
from tests.service.database import sessions_wait
from tests.service.run_queue.queueing import (
    OTHER,
    WORKER,
    a_run,
    accepted,
    claim,
    end,
    execute,
    status,
    thread_status,
)
from tests.service.waiting import eventually_async

pytestmark = pytest.mark.anyio


async def test_high_goes_before_normal_and_normal_before_low(pool: Pool, queue: RunQueue) -> None:
    order: tuple[Priority, ...] = ("low", "normal", "high")
    ids = {priority: (await accepted(queue, priority=priority)).run_id for priority in order}
    claimed = [held.run_id for held in await claim(pool)]
    assert claimed == [ids["high"], ids["normal"], ids["low"]]


async def test_a_low_run_that_waited_two_minutes_goes_before_a_new_high_one(pool: Pool, queue: RunQueue) -> None:
    low = await accepted(queue, priority="low")
    await execute(pool, "UPDATE runs SET rank = rank - interval '121 s'")
    high = await accepted(queue, priority="high")
    assert [held.run_id for held in await claim(pool)] == [low.run_id, high.run_id]


async def test_a_thread_gives_out_one_run_at_a_time_in_the_order_of_acceptance(pool: Pool, queue: RunQueue) -> None:
    first = await accepted(queue, "t", priority="low")
    second = await accepted(queue, "t", priority="high")
    (held,) = await claim(pool)
    assert held.run_id == first.run_id
    assert await claim(pool) == []
    assert await end(pool, held)
    assert [held.run_id for held in await claim(pool)] == [second.run_id]


async def test_fencing_off_is_repeated_when_its_answer_was_lost_and_ends_the_older_fence(
    pool: Pool, queue: RunQueue
) -> None:
    await accepted(queue, "t")
    (held,) = await claim(pool)
    async with pool.connection() as connection:
        first = await run_claims.fence_off(connection, held)
        again = await run_claims.fence_off(connection, held)
        assert first
        assert again == first
        assert not await run_claims.take_back(connection, held)
        assert await run_claims.take_back(connection, first)
        assert await run_claims.fence_off(connection, first) is None


async def test_two_workers_that_claim_at_once_never_get_the_same_run_nor_the_same_thread(
    pool: Pool, queue: RunQueue
) -> None:
    for number in range(40):
        await accepted(queue, f"t{number % 20}")
    batches = await asyncio.gather(
        *(claim(pool, 3, worker) for _ in range(8) for worker in (WORKER, OTHER)), return_exceptions=True
    )
    claimed = [held for batch in batches if not isinstance(batch, BaseException) for held in batch]
    assert len({held.run_id for held in claimed}) == len(claimed)
    assert len({held.thread_id for held in claimed}) == len(claimed)
    assert claimed


async def test_the_database_itself_refuses_a_second_running_run_on_a_thread(pool: Pool, queue: RunQueue) -> None:
    await accepted(queue, "t")
    await accepted(queue, "t")
    with pytest.raises(Exception, match="runs_one_running_per_thread"):
        await execute(
            pool,
            "UPDATE runs SET status = 'running', worker = gen_random_uuid(), lease_until = now(), fence = 1",
        )


async def test_an_older_claim_can_neither_end_nor_release_nor_renew_the_run(pool: Pool, queue: RunQueue) -> None:
    await accepted(queue)
    (old,) = await claim(pool)
    await execute(pool, "UPDATE runs SET lease_until = now() - interval '1 s'")
    async with pool.connection() as connection:
        assert len(await run_claims.reap(connection)) == 1
    (new,) = await claim(pool, worker=OTHER)
    async with pool.connection() as connection:
        assert await run_claims.finish(connection, [(old, Outcome("error"))]) == [None]
        assert not await run_claims.release(connection, old, failed=False)
        assert await run_claims.renew(connection, {old.run_id: old.fence}, 10) == {}
        assert await run_claims.renew(connection, {new.run_id: new.fence}, 10) == {new.run_id: None}
    assert await end(pool, new)
    assert await status(pool, new.run_id) == "success"


async def test_many_ends_in_one_statement_pass_over_a_thread_that_is_being_changed(pool: Pool, queue: RunQueue) -> None:
    for thread_id in ("changed", "followed", "other"):
        await accepted(queue, thread_id)
    await accepted(queue, "followed")
    held = {each.thread_id: each for each in await claim(pool)}
    endings = [(held[thread_id], Outcome("success")) for thread_id in ("changed", "followed", "other")]
    async with pool.connection() as connection, pool.connection() as changing:
        async with changing.transaction():
            await threads.lock(changing, LAPTOP, "changed")
            ended = await run_claims.finish(connection, endings)
        assert ended == [None, Finished(next_waits=True), Finished(next_waits=False)]
        assert await run_claims.finish(connection, endings) == [Finished(next_waits=False), None, None]
    assert [await thread_status(pool, thread_id) for thread_id in ("changed", "followed", "other")] == [
        "idle",
        "busy",
        "idle",
    ]


async def test_an_end_that_waits_for_an_acceptance_on_its_thread_sees_the_run(pool: Pool, queue: RunQueue) -> None:
    await accepted(queue, "t")
    (held,) = await claim(pool)

    async def end_in_turn() -> list[Finished | None]:
        async with pool.connection() as connection, connection.transaction():
            assert await run_claims.lock(connection, held)
            return await run_claims.finish(connection, [(held, Outcome("success"))])

    async with pool.connection() as accepting, pool.connection() as looking:
        async with accepting.transaction():
            await threads.lock(accepting, LAPTOP, "t")
            await run_acceptance.insert(accepting, Acceptance(a_run("t")), 10)
            ending = asyncio.create_task(end_in_turn())
            await eventually_async(lambda: sessions_wait(looking, 1))
        assert await ending == [Finished(next_waits=True)]
    assert await thread_status(pool, "t") == "busy"


async def test_an_older_claim_in_the_same_statement_ends_nothing(pool: Pool, queue: RunQueue) -> None:
    await accepted(queue)
    (old,) = await claim(pool)
    new = replace(old, fence=old.fence + 1)
    await execute(pool, "UPDATE runs SET fence = fence + 1")
    async with pool.connection() as connection:
        ended = await run_claims.finish(connection, [(old, Outcome("success")), (new, Outcome("error"))])
    assert ended == [None, Finished(next_waits=False)]
    assert await status(pool, new.run_id) == "error"


async def test_a_living_lease_is_not_reaped(pool: Pool, queue: RunQueue) -> None:
    await accepted(queue)
    await claim(pool)
    async with pool.connection() as connection:
        assert await run_claims.reap(connection) == []


async def test_a_delayed_run_waits_for_its_time(pool: Pool, queue: RunQueue) -> None:
    run = await accepted(queue, after_seconds=60)
    assert await claim(pool) == []
    await execute(pool, "UPDATE runs SET available_at = now()")
    assert [held.run_id for held in await claim(pool)] == [run.run_id]


async def test_a_run_that_fails_again_and_again_ends_as_a_dead_letter(
    pool: Pool, queue: RunQueue, signals: Signals
) -> None:
    run = await accepted(queue, "t")
    reaper = Reaper(pool, signals, Metrics())
    for failures in range(MOST_FAILURES + 1):
        await execute(pool, "UPDATE runs SET available_at = now()")
        assert len(await claim(pool, suspects=failures >= run_claims.SUSPECT)) == 1
        assert await claim(pool) == []
        await execute(pool, "UPDATE runs SET lease_until = now() - interval '1 s'")
        await reaper.reap()
    async with pool.connection() as connection:
        dead = await runs.present(connection, run.run_id)
    assert dead
    assert (dead.status, dead.dead_letter, dead.failures) == ("error", True, MOST_FAILURES + 1)
    assert await thread_status(pool, "t") == "error"


async def test_a_run_that_gets_on_may_lose_any_number_of_workers(pool: Pool, queue: RunQueue, signals: Signals) -> None:
    run = await accepted(queue, "t")
    reaper = Reaper(pool, signals, Metrics())
    for _ in range(MOST_FAILURES + 3):
        assert len(await claim(pool)) == 1
        await execute(
            pool,
            "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint)"
            " SELECT 't', count(*)::text, '{}' FROM checkpoints",
        )
        await execute(pool, "UPDATE runs SET lease_until = now() - interval '1 s'")
        await reaper.reap()
    async with pool.connection() as connection:
        alive = await runs.present(connection, run.run_id)
    assert alive
    assert (alive.status, alive.failures) == ("pending", 1)


async def test_each_failure_waits_longer_and_a_hand_over_does_not_wait(pool: Pool, queue: RunQueue) -> None:
    await accepted(queue)
    (held,) = await claim(pool)
    async with pool.connection() as connection:
        assert await run_claims.release(connection, held, failed=False)
    (held,) = await claim(pool)
    assert held.failures == 0
    async with pool.connection() as connection:
        assert await run_claims.release(connection, held, failed=True, after_seconds=5)
    assert await claim(pool) == []


async def test_a_run_taken_back_leaves_its_thread_as_it_was(pool: Pool, queue: RunQueue) -> None:
    await accepted(queue, "t")
    (first,) = await claim(pool)
    await end(pool, first, Outcome("interrupted", interrupts=("a" * 32,), has_next=True))
    await accepted(queue, "t")
    (second,) = await claim(pool)
    async with pool.connection() as connection:
        assert await run_claims.take_back(connection, second)
        thread = await threads.get(connection, LAPTOP, "t")
    assert thread
    assert (thread.status, thread.interrupts) == ("interrupted", ["a" * 32])
    assert await status(pool, second.run_id) == "gone"
