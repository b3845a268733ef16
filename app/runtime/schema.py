"""Brings the database to this code's schema: LangGraph's checkpoint tables, then ours. Safe with many processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Identifier, Literal

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
LOCK = 0x6C616E67_67726170  # "langgrap": any constant 64-bit number that nobody else locks
POLL_SECONDS = 0.1
COMPATIBLE = "-- compatible-from:"
TABLE = """
    CREATE TABLE IF NOT EXISTS agent_migrations (
        version         integer     PRIMARY KEY,
        applied_at      timestamptz NOT NULL DEFAULT now(),
        compatible_from integer     NOT NULL DEFAULT 0
    );
    ALTER TABLE agent_migrations ADD COLUMN IF NOT EXISTS compatible_from integer NOT NULL DEFAULT 0;
"""


class UnusableSchema(Exception):
    """This code cannot work on the database as it is, however often it tries."""


class NewerSchema(UnusableSchema):
    """The database was written by newer code, which this code could damage."""


@dataclass(frozen=True)
class Migration:
    """One file of app/migrations. `compatible_from` is the oldest version of this code that works on its result.

    A file expands the schema in one release and contracts it in a later one, so that the release before still runs
    while pods are replaced.
    """

    version: int
    statements: str
    compatible_from: int


def our_migrations(directory: Path = MIGRATIONS) -> list[Migration]:
    """Every file in order; 0001_name.sql is version 1. Raises ValueError for one that does not say what it needs."""
    found: list[Migration] = []
    for file in sorted(directory.glob("*.sql")):
        text = file.read_text()
        first_line = text.partition("\n")[0]
        if not first_line.startswith(COMPATIBLE):
            raise ValueError(f"{file}: must begin with '{COMPATIBLE} <version>'.")
        found.append(Migration(int(file.name[:4]), text, int(first_line.removeprefix(COMPATIBLE))))
    return found


async def migrate(connection_string: Callable[[], str], migrations: Sequence[Migration] | None = None) -> None:
    """Applies what is missing; refuses a database that newer code made unusable for this one, before touching it.

    Where nothing is missing it needs no right but to read: in a cluster, a Job with a role of its own goes before.
    """
    ours = our_migrations() if migrations is None else migrations
    async with await _connect(connection_string) as connection:
        await refuse_newer(connection, ours)
        if await _is_current(connection, ours):
            return
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    async with _one_at_a_time(connection_string), await _connect(connection_string) as connection:
        await refuse_newer(connection, ours)
        await AsyncPostgresSaver(connection).setup()
        await connection.execute(TABLE)
        applied = await _highest(connection, "agent_migrations", "version")
        for migration in ours:
            if migration.version > applied:
                async with connection.transaction():
                    await connection.execute(migration.statements.encode())
                    await connection.execute(
                        "INSERT INTO agent_migrations (version, compatible_from) VALUES (%s, %s)",
                        (migration.version, migration.compatible_from),
                    )


async def refuse_newer(connection: AsyncConnection[DictRow], migrations: Sequence[Migration]) -> None:
    """Raises NewerSchema when the database needs newer code than this.

    LangGraph's own tables have no such mark: a release that brings an incompatible change of theirs brings a
    migration of ours that says so.
    """
    newest = max((migration.version for migration in migrations), default=0)
    needed = await _highest(connection, "agent_migrations", "compatible_from")
    if needed > newest:
        raise NewerSchema(
            f"the database needs code of schema version {needed}, this code is of {newest}:"
            " deploy the newer service again, or restore a backup from before its migration"
        )


async def check_not_newer(connection_string: Callable[[], str]) -> None:
    """The same check alone, for a start that must stop with a clear message."""
    async with await _connect(connection_string) as connection:
        await refuse_newer(connection, our_migrations())


async def _is_current(connection: AsyncConnection[DictRow], migrations: Sequence[Migration]) -> bool:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver  # takes time: the check alone does without

    newest = max((migration.version for migration in migrations), default=0)
    ours = await _highest(connection, "agent_migrations", "version")
    langgraphs = await _highest(connection, "checkpoint_migrations", "v")
    return 0 < newest <= ours and langgraphs >= len(AsyncPostgresSaver.MIGRATIONS) - 1


async def _highest(connection: AsyncConnection[DictRow], table: str, column: str) -> int:
    """0 before the first migration, and for a column that the writing version did not know."""
    query = """
        SELECT FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name = %s AND column_name = %s
    """
    if (await (await connection.execute(query, (table, column))).fetchone()) is None:
        return 0
    newest = SQL("SELECT coalesce(max({}), 0) AS version FROM {}").format(Identifier(column), Identifier(table))
    return cast("int", (await (await connection.execute(newest)).fetchone() or {"version": 0})["version"])


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
