"""The servers that other tests stand on do what they are started for."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from tests.service import backends
from tests.service.backends import pgbouncer, redis_server
from tools.catalogue import Unavailable

pytestmark = pytest.mark.anyio


async def test_many_users_at_once_share_few_connections_through_a_transaction_pooler(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE counter (n integer NOT NULL)")
        connection.execute("INSERT INTO counter VALUES (0)")

    with pgbouncer(database_url, pool_size=3) as pooled_url:
        kwargs = {"autocommit": True, "prepare_threshold": 0}
        pool = AsyncConnectionPool(pooled_url, kwargs=kwargs, min_size=8, max_size=8, open=False)
        async with pool:
            servers: set[int] = set()

            async def use() -> None:
                for _ in range(20):
                    async with pool.connection() as connection, connection.transaction():
                        # Prepared by each connection, and run in a session that another one prepared it in.
                        row = await (
                            await connection.execute("SELECT n, pg_backend_pid() FROM counter FOR UPDATE")
                        ).fetchone()
                        assert row is not None
                        servers.add(row[1])
                        await connection.execute("UPDATE counter SET n = %s", (row[0] + 1,))

            await asyncio.gather(*(use() for _ in range(32)))
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT n FROM counter").fetchone() == (32 * 20,)
    assert 1 < len(servers) <= 3


def test_a_transaction_pooler_gives_a_session_to_another_client_between_transactions(database_url: str) -> None:
    with (
        pgbouncer(database_url, pool_size=1) as pooled_url,
        psycopg.connect(pooled_url, autocommit=True) as one,
        psycopg.connect(pooled_url, autocommit=True) as other,
    ):
        answers = [connection.execute("SELECT pg_backend_pid()").fetchone() for connection in (one, other, one)]
    assert len(set(answers)) == 1


def test_a_redis_that_was_killed_starts_again_on_its_port() -> None:
    with redis_server() as redis:
        port, first = redis.port, redis.process
        redis.kill()
        redis.start()
        assert (redis.port, redis.process) != (port, first)
        assert redis.process is not None
        assert redis.process.poll() is None


def test_a_tool_that_cannot_be_had_fails_the_test_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise Unavailable(f"{name} is not to be had")

    monkeypatch.setattr(backends, "obtain", nothing)
    monkeypatch.delenv(backends.WITHOUT, raising=False)
    with pytest.raises(pytest.fail.Exception, match="apt-get install redis-server"), redis_server():
        pass
    monkeypatch.setenv(backends.WITHOUT, "pgbouncer redis-server")
    with pytest.raises(pytest.skip.Exception, match="TESTS_WITHOUT allows it"), redis_server():
        pass
