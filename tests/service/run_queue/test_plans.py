"""Plans that were made while the tables were empty: what is done to one run reads the rows of one run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast
from uuid import uuid4

import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from app.runtime import checkpoint_statements
from app.runtime.checkpoint_statements import Entry, Lease
from app.runtime.connection import connection_string
from app.runtime.run import Claim, Outcome
from app.runtime.schema import migrate
from app.settings import Settings
from app.tables import run_claims, run_events
from app.tables.run_events import Event

pytestmark = pytest.mark.anyio

Act = Callable[[AsyncConnection[DictRow], Claim], Awaitable[object]]
RUNS = 3000
FILL = """
    WITH made AS (
        INSERT INTO threads (thread_id) SELECT gen_random_uuid()::text FROM generate_series(1, %s) RETURNING thread_id
    )
    INSERT INTO runs (
        run_id, thread_id, graph_id, assistant_id, status, request, strategy, rank, priority, fence, worker, lease_until)
    SELECT gen_random_uuid(), thread_id, 'g', 'g', 'running', '', 'enqueue', now(), 'normal', 1, gen_random_uuid(), now()
    FROM made
"""
READ = """
    SELECT sum(seq_tup_read)::int + (
        SELECT sum(idx_tup_read)::int FROM pg_stat_user_indexes WHERE relname IN ('runs', 'threads')
    ) AS rows FROM pg_stat_user_tables WHERE relname IN ('runs', 'threads')
"""


async def finish(connection: AsyncConnection[DictRow], held: Claim) -> object:
    return await run_claims.finish(connection, [(held, Outcome("success"))])


async def renew(connection: AsyncConnection[DictRow], held: Claim) -> object:
    return await run_claims.renew(connection, {held.run_id: held.fence}, 10)


async def release(connection: AsyncConnection[DictRow], held: Claim) -> object:
    return await run_claims.release(connection, held, failed=False)


async def save(connection: AsyncConnection[DictRow], held: Claim) -> object:
    entry = Entry(
        Lease(held.run_id, held.fence), held.thread_id, "", str(uuid4()), [], checkpoint=b"{}", metadata=b"{}"
    )
    return await checkpoint_statements.save(connection, [entry])


async def append(connection: AsyncConnection[DictRow], held: Claim) -> object:
    return await run_events.append(connection, [(held.run_id, held.fence, Event(1, "values", b"{}"))])


@pytest.fixture
async def connection(settings: Settings) -> AsyncGenerator[AsyncConnection[DictRow]]:
    await migrate(connection_string(settings))
    address = connection_string(settings)()
    async with await AsyncConnection[DictRow].connect(
        address, autocommit=True, row_factory=dict_row, prepare_threshold=0
    ) as opened:
        for table in (b"runs", b"threads"):
            await opened.execute(b"ALTER TABLE " + table + b" SET (autovacuum_enabled = off)")
        yield opened


async def claimed(connection: AsyncConnection[DictRow]) -> Claim:
    cursor = await connection.execute("SELECT run_id, thread_id FROM runs WHERE status = 'running' LIMIT 1")
    row = cast("DictRow", await cursor.fetchone())
    return Claim(row["run_id"], row["thread_id"], "g", b"", True, 1, 0, None, None, 0, "", "", False)


async def rows_read(connection: AsyncConnection[Any]) -> int:
    await connection.execute("SELECT pg_stat_force_next_flush()")
    return cast("DictRow", await (await connection.execute(READ)).fetchone())["rows"]


@pytest.mark.parametrize("act", [finish, renew, release, save, append, run_claims.fence_off])
async def test_what_is_done_to_one_run_reads_few_rows_of_a_database_that_has_filled(
    connection: AsyncConnection[DictRow], act: Act
) -> None:
    await connection.execute(FILL, (20,))
    for _ in range(12):  # PostgreSQL settles for a plan with the sixth
        assert await act(connection, await claimed(connection))
    await connection.execute(FILL, (RUNS,))
    held = await claimed(connection)
    before = await rows_read(connection)
    assert await act(connection, held)
    assert await rows_read(connection) - before < RUNS / 10


REPEATED = """
    SELECT one.indexrelid::regclass::text AS name FROM pg_index AS one
    JOIN pg_index AS other ON one.indrelid = other.indrelid AND other.indkey::text LIKE one.indkey::text || ' %'
    JOIN pg_class ON pg_class.oid = one.indexrelid JOIN pg_am ON pg_am.oid = relam AND amname = 'btree'
    WHERE NOT one.indisunique AND one.indpred IS NULL AND other.indpred IS NULL
        AND relnamespace = 'public'::regnamespace
"""


async def test_no_index_is_the_beginning_of_another_also_after_the_stock_saver_s_own_setup(
    connection: AsyncConnection[DictRow],
) -> None:
    await AsyncPostgresSaver(connection).setup()
    assert await (await connection.execute(REPEATED)).fetchall() == []
