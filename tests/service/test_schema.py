"""The schema on its way from nothing to now, with many processes at once."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from app.runtime.schema import NewerSchema, migrate, our_migrations

pytestmark = pytest.mark.anyio


async def test_many_first_starts_at_once_all_succeed(database_url: str) -> None:
    async with asyncio.timeout(60):
        await asyncio.gather(*(migrate(lambda: database_url) for _ in range(8)))
    with psycopg.connect(database_url) as connection:
        applied = connection.execute("SELECT version FROM agent_migrations ORDER BY version").fetchall()
    assert applied == [(version,) for version, _ in our_migrations()]


async def test_a_second_start_changes_nothing(database_url: str) -> None:
    await migrate(lambda: database_url)
    with psycopg.connect(database_url) as connection:
        before = connection.execute("SELECT * FROM agent_migrations").fetchall()
    await migrate(lambda: database_url)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT * FROM agent_migrations").fetchall() == before


@pytest.mark.parametrize(("table", "column"), [("checkpoint_migrations", "v"), ("agent_migrations", "version")])
async def test_a_database_of_newer_code_is_refused_and_left_alone(database_url: str, table: str, column: str) -> None:
    await migrate(lambda: database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        insert = SQL("INSERT INTO {} ({}) VALUES (99)")
        connection.execute(insert.format(Identifier(table), Identifier(column)))
        connection.execute("DROP TABLE thread_leases")
    with pytest.raises(NewerSchema, match=f"{table} is at version 99"):
        await migrate(lambda: database_url)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('thread_leases')").fetchone() == (None,)


def test_migrations_are_numbered_without_gaps() -> None:
    assert [version for version, _ in our_migrations()] == list(range(1, len(our_migrations()) + 1))
