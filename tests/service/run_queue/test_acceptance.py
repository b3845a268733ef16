"""What the queue takes in: keys, strategies, answers to questions, limits and cancellations."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runtime.database import Pool
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
from app.runtime.run import Claim, Outcome, RunRequest, Strategy
from app.runtime.run_queue import Accepted, RunQueue
from app.runtime.signals import Signals
from app.runtime.worker import Worker
from app.security.caller import ALL_SCOPES, LAPTOP, Caller
from app.security.run_quota import Room
from app.tables import run_acceptance, run_claims, threads
from app.tables.run_acceptance import Acceptance
from tests.service.database import sessions_wait
from tests.service.run_queue.queueing import (
    WORKER,
    a_run,
    accepted,
    claim,
    end,
    execute,
    make_queue,
    rows,
    status,
    thread_status,
)
from tests.service.waiting import eventually, eventually_async

pytestmark = pytest.mark.anyio


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


async def test_of_two_on_one_new_thread_in_one_statement_only_the_first_makes_it(pool: Pool) -> None:
    first, second, other = (Acceptance(a_run(thread_id), worker=WORKER) for thread_id in ("t", "t", "a"))
    async with pool.connection() as connection:
        made = await run_acceptance.insert_with_threads(connection, [first, second, other], 10)
    assert [run and run.run_id for run in made] == [first.new.run_id, None, other.new.run_id]
    assert {run.status for run in made if run} == {"running"}


async def test_in_one_statement_a_user_with_too_many_runs_does_not_hold_up_another(pool: Pool) -> None:
    full, free = (Caller("", name, ALL_SCOPES) for name in ("full", "free"))
    given = [
        Acceptance(a_run(caller=full)),
        Acceptance(a_run(caller=full, room=Room(0, ()))),
        Acceptance(a_run(caller=free, room=Room(0, ()))),
    ]
    async with pool.connection() as connection:
        await run_acceptance.insert_with_threads(connection, given[:1], 10)
        made = await run_acceptance.insert_with_threads(connection, given[1:], 10)
        assert not await run_acceptance.has_room(connection, given[1].new)
    assert [run is not None for run in made] == [False, True]


class EndlessSlots:
    """The part of a worker that acceptance uses."""

    def __init__(self) -> None:
        self.reserved = 0
        self.begun: list[UUID] = []

    def reserve(self) -> UUID:
        self.reserved += 1
        return WORKER

    def free(self) -> None:
        self.reserved -= 1

    def begin(self, claim: Claim, asked_at: float) -> asyncio.Future[None]:
        self.reserved -= 1
        self.begun.append(claim.run_id)
        return asyncio.get_running_loop().create_future()


async def test_of_many_accepted_at_once_each_thread_s_first_begins_here_and_the_others_wait(
    pool: Pool, signals: Signals
) -> None:
    slots = EndlessSlots()
    queue = make_queue(pool, signals, worker=cast("Worker", slots))
    answers = await asyncio.gather(*(queue.accept(a_run(f"t{number % 5}")) for number in range(20)))
    assert len({answer.run.run_id for answer in answers}) == 20
    begun = [answer.run for answer in answers if answer.run.status == "running"]
    assert sorted(run.thread_id for run in begun) == [f"t{number}" for number in range(5)]
    assert {run.run_id for run in begun} == set(slots.begun)
    assert slots.reserved == 0


async def test_a_thread_that_is_just_being_deleted_holds_up_nobody_else(pool: Pool, signals: Signals) -> None:
    slots = EndlessSlots()
    queue = make_queue(pool, signals, worker=cast("Worker", slots))
    await accepted(queue, "gone")
    async with pool.connection() as deleting:
        async with deleting.transaction():
            await deleting.execute("DELETE FROM threads WHERE thread_id = 'gone'")
            waits = asyncio.create_task(accepted(queue, "gone"))
            others = await asyncio.gather(*(accepted(queue) for _ in range(5)))
            assert {run.status for run in others} == {"running"}
            assert not waits.done()
        assert (await waits).status == "running"
    assert slots.reserved == 0


BE_SLOW = """
    CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$
"""
SLOW = "CREATE TRIGGER be_slow BEFORE INSERT ON threads FOR EACH ROW EXECUTE FUNCTION be_slow()"


async def test_whoever_is_cancelled_while_accepting_leaves_a_run_that_is_executed(pool: Pool, signals: Signals) -> None:
    slots = EndlessSlots()
    queue = make_queue(pool, signals, worker=cast("Worker", slots))
    await execute(pool, BE_SLOW)
    await execute(pool, SLOW)

    async def under_way() -> object:
        return await rows(pool, "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'")

    accepting = asyncio.create_task(queue.accept(a_run("t")))
    await eventually_async(under_way)
    accepting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await accepting
    await eventually(lambda: slots.begun)
    assert await status(pool, slots.begun[0]) == "running"
    assert slots.reserved == 0


async def all_wait(pool: Pool, count: int) -> bool:
    async with pool.connection() as connection:
        return await sessions_wait(connection, count)


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
