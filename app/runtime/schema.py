"""Brings the database to this code's schema: LangGraph's checkpoint tables, then ours. Safe with many processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Identifier, Literal

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
LOCK = 0x6C616E67_67726170  # "langgrap": any constant 64-bit number that nobody else locks
POLL_SECONDS = 0.1


class NewerSchema(Exception):
    """The database was written by newer code, which this code could damage."""


def our_migrations() -> list[tuple[int, str]]:
    """(version, statements) of every file, in order; 0001_name.sql is version 1."""
    return [(int(file.name[:4]), file.read_text()) for file in sorted(MIGRATIONS.glob("*.sql"))]


async def migrate(connection_string: Callable[[], str]) -> None:
    """Applies what is missing; refuses a database of a newer version before touching it."""
    async with _one_at_a_time(connection_string), await _connect(connection_string) as connection:
        await refuse_newer(connection)
        await AsyncPostgresSaver(connection).setup()
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS agent_migrations"
            " (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        applied = await _highest(connection, "agent_migrations", "version")
        for version, statements in our_migrations():
            if version > applied:
                async with connection.transaction():
                    await connection.execute(statements.encode())
                    await connection.execute("INSERT INTO agent_migrations (version) VALUES (%s)", (version,))


async def refuse_newer(connection: AsyncConnection[DictRow]) -> None:
    """Raises NewerSchema when either table of versions is ahead of this code."""
    known = {
        ("checkpoint_migrations", "v"): len(AsyncPostgresSaver.MIGRATIONS) - 1,
        ("agent_migrations", "version"): max((version for version, _ in our_migrations()), default=0),
    }
    for (table, column), newest in known.items():
        found = await _highest(connection, table, column)
        if found > newest:
            raise NewerSchema(
                f"{table} is at version {found}, this code knows {newest}: deploy the newer service again,"
                " or restore a backup from before its migration"
            )


async def check_not_newer(connection_string: Callable[[], str]) -> None:
    """The same check alone, for a start that must stop with a clear message."""
    async with await _connect(connection_string) as connection:
        await refuse_newer(connection)


async def _highest(connection: AsyncConnection[DictRow], table: str, column: str) -> int:
    exists = await (await connection.execute("SELECT to_regclass(%s) AS name", (table,))).fetchone()
    if exists is None or exists["name"] is None:
        return -1
    query = SQL("SELECT coalesce(max({column}), -1) AS version FROM {table}")
    cursor = await connection.execute(query.format(column=Identifier(column), table=Identifier(table)))
    return cast("int", (await cursor.fetchone() or {"version": -1})["version"])


async def _connect(connection_string: Callable[[], str]) -> AsyncConnection[DictRow]:
    return await AsyncConnection[DictRow].connect(
        connection_string(), autocommit=True, prepare_threshold=None, row_factory=dict_row
    )


@asynccontextmanager
async def _one_at_a_time(connection_string: Callable[[], str]) -> AsyncGenerator[None]:
    """One process migrates, the others poll.

    Waiting inside pg_advisory_lock would deadlock with CREATE INDEX CONCURRENTLY, which waits for every older
    snapshot. The lock belongs to a transaction and not to a session, so it also holds through a pooler. A statement
    with parameters would keep its portal, and with it a snapshot, until the transaction ends: so none here has any.
    """
    try_lock = SQL("SELECT pg_try_advisory_xact_lock({}) AS locked").format(Literal(LOCK))
    async with await _connect(connection_string) as connection:
        while True:
            async with connection.transaction():
                cursor = await connection.execute(try_lock)
                row = await cursor.fetchone()
                if row and row["locked"]:
                    yield
                    return
            await asyncio.sleep(POLL_SECONDS)
