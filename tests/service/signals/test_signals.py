"""Wake-ups reach the waiters of other processes, by PostgreSQL and by Valkey."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import psycopg
import pytest

from app.runtime.signals import LONGEST_TOPIC_BYTES, Signals
from app.runtime.valkey_connection import ValkeyConnection
from app.settings import CHECKOUT
from tests.service.backends import RedisServer
from tests.service.signals.processes_with_signals import healthy, process, reached, said, two_processes, woken

pytestmark = pytest.mark.anyio


async def test_a_waiter_in_the_same_process_is_woken_at_once_without_any_server() -> None:
    signals = Signals(lambda: "host=127.0.0.1 port=1")
    with signals.subscribe("t") as event, signals.subscribe("u") as other:
        signals.publish("t")
        assert event.is_set()
        assert not other.is_set()
        event.clear()
        signals.publish("u")
        assert not event.is_set()
    signals.publish("t")
    assert not event.is_set()


async def test_of_a_thousand_topics_published_in_one_turn_each_wakes_its_waiters_elsewhere(
    database_url: str, valkey_or_none: ValkeyConnection | None
) -> None:
    async with two_processes(database_url, valkey_or_none) as (one, other):
        topics = [f"run:{number}" for number in range(1000)]
        scopes = [other.subscribe(topic) for topic in topics]
        events = [scope.__enter__() for scope in scopes]
        with other.subscribe("untouched") as untouched, other.subscribe("run:7") as second_waiter:
            one.publish(*topics)
            one.publish(*topics)
            await asyncio.gather(*(woken(event) for event in [*events, second_waiter]))
            assert not untouched.is_set()
        for scope in scopes:
            scope.__exit__(None, None, None)


@pytest.mark.parametrize(
    "topic", ["x" * LONGEST_TOPIC_BYTES, "ü" * (LONGEST_TOPIC_BYTES // 2), "'; -- %s \\ \n\t\"{}", "\U0001f40d"]
)
async def test_a_topic_may_be_any_text_up_to_the_limit(
    database_url: str, valkey_or_none: ValkeyConnection | None, topic: str
) -> None:
    async with two_processes(database_url, valkey_or_none) as (one, other):
        with other.subscribe(topic) as event:
            one.publish(topic)
            await woken(event)


@pytest.mark.parametrize("topic", ["", "a\0b", "x" * (LONGEST_TOPIC_BYTES + 1), "\ud800"])
async def test_what_is_no_topic_is_refused_to_waiters_and_harms_no_publication(database_url: str, topic: str) -> None:
    async with two_processes(database_url) as (one, other):
        with pytest.raises(ValueError, match="not 1 to 7900 bytes of UTF-8 without NUL"), other.subscribe(topic):
            pass
        with other.subscribe("t") as event:
            one.publish(topic, "t")
            await woken(event)


async def test_ones_own_publication_does_not_wake_a_second_time_when_it_comes_back(
    database_url: str, valkey_or_none: ValkeyConnection | None
) -> None:
    async with two_processes(database_url, valkey_or_none) as (one, other):
        with one.subscribe("t") as event, other.subscribe("t") as elsewhere, one.subscribe("answer") as answer:
            one.publish("t")
            event.clear()
            await woken(elsewhere)
            other.publish("answer")  # comes after it, on every path
            await woken(answer)
            assert not event.is_set()


async def test_two_busy_processes_hear_each_other_to_the_last_word(
    database_url: str, valkey_or_none: ValkeyConnection | None
) -> None:
    async with two_processes(database_url, valkey_or_none) as pair:
        for number in range(200):
            topic = f"word:{number}"
            with pair[0].subscribe(topic + ":1") as first, pair[1].subscribe(topic + ":0") as second:
                pair[0].publish(topic + ":0")
                await asyncio.sleep(0.0005 * (number % 4))
                pair[1].publish(topic + ":1")
                await asyncio.gather(woken(first), woken(second))


async def test_a_notification_right_behind_the_answer_to_a_statement_is_not_left_lying(database_url: str) -> None:
    async with process(database_url) as here:
        await healthy(here)
        with here.subscribe("t") as event, psycopg.connect(database_url, autocommit=True) as elsewhere:
            here.publish("some statement")
            for _ in range(4):
                await asyncio.sleep(0)  # it is on its way to the server
            # The event loop stands still: its answer and the notification come to lie in the socket together.
            elsewhere.execute("SELECT pg_notify('agent_signals', %s)", ("0" * 32 + "t",))
            time.sleep(0.2)  # noqa: ASYNC251  to stand still is the point
            await woken(event)


async def test_an_idle_process_stays_connected_and_ends_without_a_complaint(
    database_url: str, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with process(database_url, reached(redis), check_seconds=0.1) as one:
        await healthy(one)
        caplog.clear()
        await asyncio.sleep(1)
    assert "wake-ups" not in said(caplog)


async def test_what_a_process_publishes_right_before_its_end_is_heard(database_url: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from app.runtime.signals import Signals\n"
        "async def main():\n"
        "    signals = Signals(lambda: sys.argv[1])\n"
        "    await signals.open()\n"
        "    while signals.reason_degraded(): await asyncio.sleep(0.01)\n"
        "    signals.publish('last words')\n"
        "    await signals.close()\n"
        "asyncio.run(main())\n"
    )
    async with process(database_url) as here:
        await healthy(here)
        with here.subscribe("last words") as event:
            ended = await asyncio.to_thread(
                subprocess.run, [sys.executable, "-c", program, database_url], cwd=CHECKOUT, timeout=60, check=False
            )
            assert ended.returncode == 0
            await woken(event)
