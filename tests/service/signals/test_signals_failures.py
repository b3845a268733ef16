"""Connections are cut, servers killed and silent: wake-ups take the other path, wait, or are made up for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import psycopg
import pytest
import valkey

from app.runtime import signals as signals_module
from app.runtime.signals import MOST_UNSENT, Signals
from app.runtime.valkey_connection import ValkeyConnection
from tests.service.backends import RedisServer, free_port
from tests.service.proxy import proxy_before_database, proxy_before_port
from tests.service.signals.processes_with_signals import NEVER, healthy, process, reached, two_processes, woken
from tests.service.waiting import eventually

pytestmark = pytest.mark.anyio


def terminate_signals(database_url: str) -> int:
    with psycopg.connect(database_url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'langgraph-agent signals' AND datname = current_database()"
        ).fetchone()
    return int(ended[0]) if ended else 0


@asynccontextmanager
async def notifications(database_url: str) -> AsyncGenerator[list[str]]:
    """What goes through NOTIFY meanwhile."""
    payloads: list[str] = []
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("LISTEN agent_signals")

        async def listen() -> None:
            async for notice in connection.notifies():
                payloads.append(notice.payload)

        listening = asyncio.create_task(listen())
        try:
            yield payloads
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def test_a_cut_connection_to_postgresql_is_opened_again_and_wakes_everybody(database_url: str) -> None:
    async with two_processes(database_url) as (one, other):
        with other.subscribe("t") as event, one.subscribe("t") as own:
            for _ in range(3):
                event.clear()
                own.clear()
                assert terminate_signals(database_url) == 2
                await woken(event)
                await woken(own)
                await healthy(one, other)
                event.clear()
                one.publish("t")
                await woken(event)


async def test_what_is_published_while_ones_own_connection_is_cut_is_sent_later(database_url: str) -> None:
    async with (
        proxy_before_database(database_url) as (proxy, through_proxy),
        process(through_proxy) as one,
        process(database_url) as other,
    ):
        await healthy(one, other)
        with other.subscribe("t") as event:
            await proxy.down()
            one.publish("t")
            await eventually(lambda: one.reason_degraded() is not None)
            await asyncio.sleep(0.2)
            assert not event.is_set()
            await proxy.up()
            await woken(event)
            assert other.reason_degraded() is None


async def test_a_connection_that_died_without_a_word_is_found_and_replaced(database_url: str) -> None:
    async with (
        proxy_before_database(database_url) as (proxy, through_proxy),
        process(through_proxy, check_seconds=0.3) as one,
    ):
        await healthy(one)
        with one.subscribe("t") as event:
            proxy.silence()
            await eventually(lambda: one.reason_degraded() is not None, 5)
            await healthy(one)
            assert event.is_set()


async def test_a_process_ends_although_its_servers_do_not_answer(database_url: str, redis: RedisServer) -> None:
    async with (
        proxy_before_database(database_url) as (database, through_proxy),
        proxy_before_port(redis.port) as cache,
    ):
        signals = Signals(lambda: through_proxy, ValkeyConnection("127.0.0.1", cache.port, tls=False), NEVER)
        await signals.open()
        await healthy(signals)
        database.silence()
        cache.silence()
        signals.publish("t")
        async with asyncio.timeout(5):
            await signals.close()


@pytest.mark.parametrize("silent", [1, 2], ids=["the listening connection", "both connections"])
async def test_a_valkey_that_died_without_a_word_is_found_and_replaced(
    database_url: str, redis: RedisServer, silent: int
) -> None:
    async with proxy_before_port(redis.port) as proxy:
        through_proxy = ValkeyConnection("127.0.0.1", proxy.port, tls=False)
        async with process(database_url, through_proxy, check_seconds=0.3) as one:
            await healthy(one)
            with one.subscribe("t") as event:
                proxy.silence(silent)
                await eventually(lambda: "Valkey" in (one.reason_degraded() or ""), 5)
                await healthy(one)
                assert event.is_set()


@pytest.mark.usefixtures("known_at_once")
async def test_a_healthy_valkey_spares_postgresql_the_notifications(database_url: str, redis: RedisServer) -> None:
    async with two_processes(database_url, reached(redis)) as (one, other), notifications(database_url) as notified:
        with other.subscribe("by valkey") as event, other.subscribe("by notify") as second:
            one.publish("by valkey")
            await woken(event)
            redis.kill()
            await eventually(lambda: "Valkey" in (one.reason_degraded() or ""))
            one.publish("by notify")
            await woken(second)
            await eventually(lambda: notified)
            assert [payload[32:] for payload in notified] == ["by notify"]


@pytest.mark.usefixtures("known_at_once")
async def test_no_wake_up_is_lost_while_valkey_is_killed_and_comes_back(database_url: str, redis: RedisServer) -> None:
    async with two_processes(database_url, reached(redis)) as (one, other):
        topics = [f"run:{number}" for number in range(300)]
        scopes = [other.subscribe(topic) for topic in topics]
        events = [scope.__enter__() for scope in scopes]
        for number, (topic, event) in enumerate(zip(topics, events, strict=True)):
            if number == 100:
                redis.kill()
            elif number == 200:
                await asyncio.to_thread(redis.start)
            event.clear()  # what counts is a wake-up after the publication
            one.publish(topic)
            await asyncio.sleep(0.005)
        await asyncio.gather(*(woken(event) for event in events))
        await healthy(one, other)
        with other.subscribe("after") as event:
            one.publish("after")
            await woken(event)
        for scope in scopes:
            scope.__exit__(None, None, None)


@pytest.mark.parametrize("its_valkey", [None, ValkeyConnection("127.0.0.1", 1, tls=False)], ids=["none", "unreachable"])
async def test_a_process_that_does_not_hear_valkey_is_told_by_one_that_does(
    database_url: str, redis: RedisServer, its_valkey: ValkeyConnection | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals_module, "TELL_SECONDS", 0.1)
    monkeypatch.setattr(signals_module, "BELIEVED_SECONDS", 0.0)
    async with process(database_url, reached(redis)) as one:
        await healthy(one)
        monkeypatch.setattr(signals_module, "BELIEVED_SECONDS", 30.0)  # from here on it believes what it is told
        async with process(database_url, its_valkey) as without:
            await eventually(lambda: "PostgreSQL" not in (without.reason_degraded() or ""))
            await asyncio.sleep(0.5)
            with without.subscribe("t") as event:
                one.publish("t")
                await woken(event)


async def test_a_process_that_starts_uses_every_path_until_it_knows_who_does_not_hear_valkey(
    database_url: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(database_url) as without:
        await healthy(without)
        monkeypatch.setattr(signals_module, "TELL_SECONDS", NEVER)
        async with process(database_url, reached(redis)) as new:
            await healthy(new)
            with without.subscribe("t") as event:
                new.publish("t")
                await woken(event)


async def test_losing_valkey_wakes_everybody_at_once_and_again_when_the_others_know(
    database_url: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(database_url, reached(redis)) as one:
        await healthy(one)
        monkeypatch.setattr(signals_module, "SETTLE_SECONDS", 1.0)
        with one.subscribe("t") as event:
            redis.kill()
            await woken(event)
            event.clear()
            await woken(event)


async def test_a_valkey_that_is_no_primary_any_more_is_not_trusted(database_url: str, redis: RedisServer) -> None:
    async with process(database_url, reached(redis), check_seconds=0.2) as one:
        await healthy(one)
        with valkey.Valkey(port=redis.port) as administrator:
            administrator.replicaof("127.0.0.1", str(free_port()))
            assert administrator.publish("still", "taken") == 0
            await eventually(lambda: "Valkey (ReadOnlyError)" in (one.reason_degraded() or ""))
            administrator.replicaof("NO", "ONE")
        await healthy(one)


async def test_with_all_paths_away_publishing_goes_on_and_everybody_is_woken_when_one_is_back(
    database_url: str, redis: RedisServer
) -> None:
    redis.kill()
    async with proxy_before_database(database_url) as (proxy, through_proxy):
        await proxy.down()
        async with process(through_proxy, reached(redis)) as one, process(database_url) as other:
            await healthy(other)
            assert one.reason_degraded()
            with other.subscribe("long ago") as event:
                one.publish("long ago")
                for start in range(0, 2 * MOST_UNSENT, 1000):
                    one.publish(*(f"run:{number}" for number in range(start, start + 1000)))
                    await asyncio.sleep(0)
                assert not event.is_set()
                await proxy.up()
                await woken(event)
