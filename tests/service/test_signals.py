"""Wake-ups between processes, over a real PostgreSQL and a real Redis that are cut, killed and started again."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psycopg
import pytest
import valkey
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from valkey.exceptions import ValkeyError

from app.runtime import signals as signals_module
from app.runtime.signals import LONGEST_TOPIC_BYTES, MOST_UNSENT, Signals
from app.runtime.valkey_connection import ValkeyConnection, open_connection
from app.settings import CHECKOUT
from tests.service.backends import RedisServer, free_port, redis_server
from tests.service.proxy import proxy_before_database, proxy_before_port
from tests.service.waiting import eventually

pytestmark = pytest.mark.anyio

NEVER = 3600.0  # no check of an idle connection helps a test that is not about it


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The event loop of uvicorn; the processes that tests start have asyncio's own."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def redis() -> Generator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _settled_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wake-ups that follow a start are over before a test looks."""
    monkeypatch.setattr(signals_module, "SETTLE_SECONDS", 0.05)


@pytest.fixture
def _known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is trusted as soon as it is open, without the time in which NOTIFY is used too."""
    monkeypatch.setattr(signals_module, "BELIEVED_SECONDS", 0.0)


def reached(server: RedisServer) -> ValkeyConnection:
    return ValkeyConnection("127.0.0.1", server.port, tls=False)


@asynccontextmanager
async def process(
    database_url: str, valkey: ValkeyConnection | None = None, check_seconds: float = NEVER
) -> AsyncGenerator[Signals]:
    """The signals of one process, wherever their paths lead."""
    signals = Signals(lambda: database_url, valkey, check_seconds)
    await signals.open()
    try:
        yield signals
    finally:
        await signals.close()


@asynccontextmanager
async def two_processes(
    database_url: str, valkey: ValkeyConnection | None = None
) -> AsyncGenerator[tuple[Signals, Signals]]:
    async with process(database_url, valkey) as one, process(database_url, valkey) as other:
        await healthy(one, other)
        yield one, other


async def healthy(*all_signals: Signals) -> None:
    await eventually(lambda: not any(signals.reason_degraded() for signals in all_signals))
    await asyncio.sleep(0.25)  # what opening wakes is awake by then


async def woken(event: asyncio.Event, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        await event.wait()


def said(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(str(vars(record)) for record in caplog.records)


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


@pytest.mark.usefixtures("_known_at_once")
@pytest.mark.parametrize("with_valkey", [False, True], ids=["PostgreSQL", "Valkey"])
async def test_of_a_thousand_topics_published_in_one_turn_each_wakes_its_waiters_elsewhere(
    database_url: str, redis: RedisServer, with_valkey: bool
) -> None:
    async with two_processes(database_url, reached(redis) if with_valkey else None) as (one, other):
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


@pytest.mark.usefixtures("_known_at_once")
@pytest.mark.parametrize("with_valkey", [False, True], ids=["PostgreSQL", "Valkey"])
@pytest.mark.parametrize(
    "topic", ["x" * LONGEST_TOPIC_BYTES, "ü" * (LONGEST_TOPIC_BYTES // 2), "'; -- %s \\ \n\t\"{}", "\U0001f40d"]
)
async def test_a_topic_may_be_any_text_up_to_the_limit(
    database_url: str, redis: RedisServer, with_valkey: bool, topic: str
) -> None:
    async with two_processes(database_url, reached(redis) if with_valkey else None) as (one, other):
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


@pytest.mark.usefixtures("_known_at_once")
@pytest.mark.parametrize("with_valkey", [False, True], ids=["PostgreSQL", "Valkey"])
async def test_ones_own_publication_does_not_wake_a_second_time_when_it_comes_back(
    database_url: str, redis: RedisServer, with_valkey: bool
) -> None:
    async with two_processes(database_url, reached(redis) if with_valkey else None) as (one, other):
        with one.subscribe("t") as event, other.subscribe("t") as elsewhere, one.subscribe("answer") as answer:
            one.publish("t")
            event.clear()
            await woken(elsewhere)
            other.publish("answer")  # comes after it, on every path
            await woken(answer)
            assert not event.is_set()


@pytest.mark.parametrize("with_valkey", [False, True], ids=["PostgreSQL", "Valkey"])
@pytest.mark.usefixtures("_known_at_once")
async def test_two_busy_processes_hear_each_other_to_the_last_word(
    database_url: str, redis: RedisServer, with_valkey: bool
) -> None:
    async with two_processes(database_url, reached(redis) if with_valkey else None) as pair:
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


async def test_an_idle_process_stays_connected(
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


@pytest.mark.usefixtures("_known_at_once")
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


@pytest.mark.usefixtures("_known_at_once")
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


async def test_a_password_is_not_logged_nor_told(
    database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    with redis_server(["--requirepass", "right"]) as server:
        wrong = ValkeyConnection("127.0.0.1", server.port, tls=False, user="agent", password="secret-word")
        database = "host=127.0.0.1 port=1 user=agent password=secret-word"
        async with process(database, wrong) as one:
            await eventually(lambda: "AuthenticationError" in (one.reason_degraded() or ""))
            await eventually(lambda: "OperationalError" in (one.reason_degraded() or ""))
            assert "secret-word" not in str(one.reason_degraded()) + repr(wrong)
    assert "wake-ups cannot go through" in said(caplog)
    assert "secret-word" not in said(caplog)


# The access string of infra/aws/cache.py; what ElastiCache checks with IAM is any password here.
SERVICE_USER = (
    "agent on nopass ~agent:* &agent:* -@all +@read +@write +@stream +@pubsub +@connection +@scripting -@dangerous"
)


@contextmanager
def redis_of_elasticache(
    folder: Path, name_in_certificate: str, monkeypatch: pytest.MonkeyPatch
) -> Generator[ValkeyConnection]:
    """A Redis by TLS alone, whose certificate is trusted; how to reach it with a token of IAM."""
    certificate, key = make_certificate(folder, name_in_certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-key")
    port = free_port()
    tls = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"]
    arguments = ["--port", "0", "--tls-port", port, *tls, "--user", *SERVICE_USER.split(), "--user", "default", "off"]
    with redis_server([str(argument) for argument in arguments], port):
        yield ValkeyConnection("localhost", port, user="agent", iam_cache="our-cache", iam_region="eu-central-1")


async def test_signed_in_with_a_token_the_rights_that_the_platform_grants_are_enough(
    database_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with redis_of_elasticache(folder, "localhost", monkeypatch) as cache:
        async with two_processes(database_url, cache) as (one, other):
            with other.subscribe("t") as event:
                one.publish("t")
                await woken(event)
    assert "X-Amz-Signature" not in said(caplog)


async def test_a_token_is_not_sent_to_a_host_with_the_certificate_of_another(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        redis_of_elasticache(folder, "another-host", monkeypatch) as cache,
        pytest.raises(ValkeyError, match="certificate is not valid for 'localhost'"),
    ):
        await open_connection(cache)


def make_certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ip_address("192.0.2.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, secret
