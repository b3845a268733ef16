"""The queue in the runs table: order, claims, leases and ends, without any graph."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, LiteralString
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.observability.metrics import Metrics
from app.runtime.database import Pool, connection_string, create_pool
from app.runtime.leases import MOST_FAILURES, Reaper
from app.runtime.problems import (
    KeyReused,
    LimitReached,
    NothingToAnswer,
    QueueFull,
    RunEnded,
    ThreadBusy,
    Unavailable,
    UnknownRun,
    UnknownThread,
)
from app.runtime.run import Claim, NewRun, Outcome, Priority, Run, RunRequest, Strategy
from app.runtime.run_queue import Accepted, RunQueue
from app.runtime.schema import migrate
from app.runtime.signals import Signals
from app.runtime.webhook_policy import WebhookPolicy
from app.security.caller import ALL_SCOPES, LAPTOP, Caller
from app.settings import Settings
from app.tables import run_claims, runs, threads
from tests.service.waiting import eventually_async

pytestmark = pytest.mark.anyio

WORKER, OTHER = uuid4(), uuid4()


@pytest.fixture
async def pool(settings: Settings) -> AsyncGenerator[Pool]:
    await migrate(connection_string(settings))
    async with create_pool(settings) as opened:
        yield opened


@pytest.fixture
def signals(settings: Settings) -> Signals:
    return Signals(connection_string(settings))


def make_queue(
    pool: Pool, signals: Signals, most_pending: int = 100, draining: asyncio.Event | None = None
) -> RunQueue:
    return RunQueue(
        pool,
        signals,
        worker=None,
        most_pending=most_pending,
        most_of_user=3,
        webhooks=WebhookPolicy(),
        draining=draining or asyncio.Event(),
    )


@pytest.fixture
def queue(pool: Pool, signals: Signals) -> RunQueue:
    return make_queue(pool, signals)


def a_run(thread_id: str | None = None, **changes: object) -> NewRun:
    new = NewRun(
        caller=LAPTOP,
        run_id=uuid4(),
        thread_id=thread_id or str(uuid4()),
        graph_id="g",
        assistant_id="g",
        request=RunRequest(input={"messages": []}),
        create_thread=True,
    )
    return replace(new, **changes)


async def accepted(queue: RunQueue, thread_id: str | None = None, **changes: object) -> Run:
    return (await queue.accept(a_run(thread_id, **changes))).run


async def claim(pool: Pool, limit: int = 10, worker: UUID = WORKER, *, suspects: bool = False) -> list[Claim]:
    async with pool.connection() as connection:
        return await run_claims.claim(connection, worker, limit, lease_seconds=10, suspects=suspects)


async def execute(pool: Pool, statement: LiteralString) -> None:
    async with pool.connection() as connection:
        await connection.execute(statement)


async def rows(pool: Pool, query: LiteralString) -> list[dict[str, Any]]:
    async with pool.connection() as connection:
        return await (await connection.execute(query)).fetchall()


async def end(pool: Pool, held: Claim, outcome: Outcome | None = None) -> bool:
    async with pool.connection() as connection:
        return await run_claims.finish(connection, held, outcome or Outcome("success"))


async def status(pool: Pool, run_id: UUID) -> str:
    async with pool.connection() as connection:
        run = await runs.present(connection, run_id)
    return run.status if run else "gone"


async def thread_status(pool: Pool, thread_id: str) -> str:
    async with pool.connection() as connection:
        thread = await threads.get(connection, LAPTOP, thread_id)
    return thread.status if thread else "gone"


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
        assert not await run_claims.finish(connection, old, Outcome("error"))
        assert not await run_claims.release(connection, old, failed=False)
        assert await run_claims.renew(connection, {old.run_id: old.fence}, 10) == {}
        assert await run_claims.renew(connection, {new.run_id: new.fence}, 10) == {new.run_id: None}
    assert await end(pool, new)
    assert await status(pool, new.run_id) == "success"


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


@pytest.mark.parametrize("strategy", ["enqueue", "reject", "interrupt", "rollback"])
async def test_the_same_key_twice_is_one_run_also_at_the_same_moment(
    pool: Pool, queue: RunQueue, strategy: Strategy
) -> None:
    await accepted(queue, "t")
    (first,) = await claim(pool)
    await end(pool, first)
    again = [a_run("t", idempotency_key="k", strategy=strategy) for _ in range(5)]
    async with pool.connection() as connection, connection.transaction():
        await threads.lock(connection, LAPTOP, "t")
        answering = asyncio.gather(*map(queue.accept, again))
        await eventually_async(lambda: all_wait(pool, 5))
    answers = await answering
    assert len({answer.run.run_id for answer in answers}) == 1
    assert [answer.new for answer in answers].count(True) == 1
    assert len(await claim(pool)) == 1


async def all_wait(pool: Pool, count: int) -> bool:
    """Whether so many sessions wait for a lock."""
    async with pool.connection() as connection:
        query = """
            SELECT count(*) AS found FROM pg_stat_activity
            WHERE wait_event_type = 'Lock' AND datname = current_database()
        """
        row = await (await connection.execute(query)).fetchone()
    return row is not None and row["found"] == count


@pytest.mark.parametrize(
    "other",
    [
        {"request": RunRequest(input={"messages": ["other"]})},
        {"thread_id": "other"},
        {"after_seconds": 60},
        {"thread_ttl_seconds": 60},
    ],
)
async def test_a_key_with_another_request_is_refused(queue: RunQueue, other: dict[str, Any]) -> None:
    first = a_run("t", idempotency_key="k")
    await queue.accept(first)
    with pytest.raises(KeyReused, match="new key"):
        await queue.accept(replace(first, run_id=uuid4(), **other))


async def test_a_full_queue_refuses_and_says_when_to_come_back(pool: Pool, signals: Signals) -> None:
    small = make_queue(pool, signals, most_pending=2)
    for after_seconds in (0, 60, 60, 0):  # those that are to start later do not wait
        await accepted(small, after_seconds=after_seconds)
    with pytest.raises(QueueFull) as refused:
        await accepted(small)
    assert refused.value.retry_after
    await claim(pool, 1)
    await accepted(small)


@pytest.mark.parametrize(
    ("strategy", "first_is", "second_runs"),
    [("enqueue", "pending", False), ("interrupt", "cancelled", True), ("rollback", "gone", True)],
)
async def test_a_strategy_decides_over_a_run_that_waits(
    pool: Pool, queue: RunQueue, strategy: Strategy, first_is: str, second_runs: bool
) -> None:
    first = await accepted(queue, "t")
    second = await accepted(queue, "t", strategy=strategy)
    assert await status(pool, first.run_id) == first_is
    assert [held.run_id == second.run_id for held in await claim(pool)] == [second_runs]


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_a_strategy_asks_the_worker_of_a_run_in_progress(pool: Pool, queue: RunQueue, strategy: Strategy) -> None:
    await accepted(queue, "t")
    (held,) = await claim(pool)
    await accepted(queue, "t", strategy=strategy)
    async with pool.connection() as connection:
        assert await run_claims.renew(connection, {held.run_id: held.fence}, 10) == {held.run_id: strategy}


async def test_reject_leaves_the_thread_to_the_first(queue: RunQueue) -> None:
    await accepted(queue, "t")
    with pytest.raises(ThreadBusy):
        await accepted(queue, "t", strategy="reject")


async def test_of_two_answers_to_a_question_at_once_one_is_accepted(pool: Pool, queue: RunQueue) -> None:
    await accepted(queue, "t")
    (held,) = await claim(pool)
    await end(pool, held, Outcome("interrupted", interrupts=("a" * 32,), has_next=True))
    assert await thread_status(pool, "t") == "interrupted"
    answer = RunRequest(command={"resume": "yes"})
    answers = await asyncio.gather(
        *(queue.accept(a_run("t", request=answer)) for _ in range(8)), return_exceptions=True
    )
    assert [isinstance(one, NothingToAnswer) for one in answers].count(True) == 7


async def test_an_answer_that_names_another_question_is_refused(pool: Pool, queue: RunQueue) -> None:
    await accepted(queue, "t")
    (held,) = await claim(pool)
    await end(pool, held, Outcome("interrupted", interrupts=("a" * 32,), has_next=True))
    with pytest.raises(NothingToAnswer, match="b" * 32):
        await accepted(queue, "t", request=RunRequest(command={"resume": {"b" * 32: 1}}))
    await accepted(queue, "t", request=RunRequest(command={"resume": {"a" * 32: 1}}))


async def test_an_answer_without_a_question_is_refused(queue: RunQueue) -> None:
    with pytest.raises(NothingToAnswer):
        await accepted(queue, request=RunRequest(command={"resume": 1}))


async def test_a_cancelled_run_ends_and_its_thread_is_free(pool: Pool, queue: RunQueue) -> None:
    run = await accepted(queue, "t")
    await queue.cancel(LAPTOP, "t", run.run_id, "interrupt")
    assert await status(pool, run.run_id) == "cancelled"
    assert await thread_status(pool, "t") == "idle"
    with pytest.raises(RunEnded):
        await queue.cancel(LAPTOP, "t", run.run_id, "interrupt")


async def test_what_does_not_exist_is_named(queue: RunQueue) -> None:
    with pytest.raises(UnknownRun):
        await queue.cancel(LAPTOP, None, uuid4(), "interrupt")
    with pytest.raises(UnknownThread):
        await accepted(queue, create_thread=False)


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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.builds(
        RunRequest,
        input=st.none() | st.dictionaries(st.text(max_size=5), JSON, max_size=3),
        command=st.none() | st.fixed_dictionaries({"resume": JSON}),
        config=st.dictionaries(st.text(max_size=5), JSON, max_size=3),
        stream_modes=st.lists(st.sampled_from(["values", "updates"]), min_size=1, max_size=2).map(tuple),
        subgraphs=st.booleans(),
        interrupt_before=st.none() | st.just("*") | st.lists(st.text(max_size=5), max_size=2),
        durability=st.sampled_from(["sync", "async", "exit"]),
        timeout_seconds=st.none() | st.floats(0.1, 1000),
    )
)
async def test_a_request_is_read_as_it_was_kept(request: RunRequest) -> None:
    assert RunRequest.decoded(request.encoded()) == request


async def test_a_user_has_so_many_unfinished_runs_and_no_more_even_when_they_come_at_once(
    pool: Pool, queue: RunQueue
) -> None:
    ann, bob = Caller("acme", "ann", ALL_SCOPES), Caller("acme", "bob", ALL_SCOPES)
    begun = await asyncio.gather(*(queue.accept(a_run(caller=ann)) for _ in range(20)), return_exceptions=True)
    kept = [found.run for found in begun if isinstance(found, Accepted)]
    refused = [found for found in begun if isinstance(found, LimitReached)]
    assert (len(kept), len(refused), refused[0].limit) == (3, 17, "user_runs")
    assert await rows(pool, "SELECT count(*) AS n FROM threads") == [{"n": 3}]  # nor is a thread left behind

    await accepted(queue, caller=bob)
    for on_a_thread_there_is in (kept[0].thread_id, str(uuid4())):
        with pytest.raises(LimitReached):
            await queue.accept(a_run(on_a_thread_there_is, caller=ann))
    (held, *_) = await claim(pool)
    assert await end(pool, held)
    await accepted(queue, kept[0].thread_id, caller=ann)


async def test_a_key_is_answered_also_when_its_user_has_too_many_runs(queue: RunQueue) -> None:
    ann = Caller("acme", "ann", ALL_SCOPES)
    first = a_run(caller=ann, idempotency_key="k")
    for new in (first, a_run(caller=ann), a_run(caller=ann)):
        await queue.accept(new)
    again = await queue.accept(replace(first, run_id=uuid4()))
    assert (again.new, again.run.run_id) == (False, first.run_id)


async def test_a_process_that_stops_takes_no_new_run(pool: Pool, signals: Signals) -> None:
    draining = asyncio.Event()
    stopping = make_queue(pool, signals, draining=draining)
    await accepted(stopping)
    draining.set()
    with pytest.raises(Unavailable) as refusal:
        await stopping.accept(a_run())
    assert refusal.value.retry_after
