"""The threads table: who owns a state, what it waits for, and the lock that every change of it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from app.security.caller import OWNED, Caller

Connection = AsyncConnection[DictRow]
ThreadStatus = Literal["idle", "busy", "interrupted", "error"]

COLUMNS = "thread_id, graph_id, status, metadata, interrupts, ttl_seconds, created_at, updated_at"
SORT_KEYS = ("thread_id", "status", "created_at", "updated_at")


@dataclass(frozen=True)
class Thread:
    """A thread without its state."""

    thread_id: str
    graph_id: str | None
    status: ThreadStatus
    metadata: dict[str, Any]
    interrupts: list[str]
    ttl_seconds: int | None
    created_at: datetime
    updated_at: datetime


def _thread(row: Mapping[str, Any]) -> Thread:
    return Thread(**{name: row[name] for name in Thread.__dataclass_fields__})


async def _one(connection: Connection, query: str, values: Mapping[str, Any]) -> Thread | None:
    row = await (await connection.execute(query.encode(), values)).fetchone()
    return _thread(row) if row else None


async def create(
    connection: Connection,
    caller: Caller,
    thread_id: str,
    graph_id: str | None,
    metadata: Mapping[str, Any],
    ttl_seconds: int | None,
) -> Thread | None:
    """None when it exists, whoever has it."""
    query = f"""
        INSERT INTO threads (thread_id, graph_id, metadata, ttl_seconds, tenant, owner)
        VALUES (%(thread_id)s, %(graph_id)s, %(metadata)s, %(ttl)s, %(tenant)s, %(owner)s)
        ON CONFLICT DO NOTHING RETURNING {COLUMNS}
    """  # noqa: S608  a constant
    values = {"graph_id": graph_id, "metadata": Jsonb(metadata), "ttl": ttl_seconds}
    return await _one(connection, query, {"thread_id": thread_id, **values, **caller.owns})


async def get(connection: Connection, caller: Caller, thread_id: str) -> Thread | None:
    query = f"SELECT {COLUMNS} FROM threads WHERE thread_id = %(thread_id)s AND {OWNED}"  # noqa: S608  constants
    return await _one(connection, query, {"thread_id": thread_id, **caller.owns})


async def lock(connection: Connection, caller: Caller, thread_id: str) -> Thread | None:
    """The thread, which nobody else changes or claims until the transaction ends."""
    query = f"SELECT {COLUMNS} FROM threads WHERE thread_id = %(thread_id)s AND {OWNED} FOR UPDATE"  # noqa: S608  constants
    return await _one(connection, query, {"thread_id": thread_id, **caller.owns})


async def set_status(
    connection: Connection, thread_id: str, status: ThreadStatus, interrupts: Sequence[str], graph_id: str | None = None
) -> None:
    query = """
        UPDATE threads SET status = %s, interrupts = %s, graph_id = coalesce(graph_id, %s), updated_at = now()
        WHERE thread_id = %s
    """
    await connection.execute(query, (status, list(interrupts), graph_id, thread_id))


async def make_busy(connection: Connection, thread_id: str, graph_id: str, metadata: Mapping[str, Any]) -> None:
    """A run was accepted on it: questions that waited for an answer are not open any more."""
    query = """
        UPDATE threads SET status = 'busy', graph_id = coalesce(graph_id, %s), metadata = metadata || %s,
            updated_at = now()
        WHERE thread_id = %s
    """
    await connection.execute(query, (graph_id, Jsonb(metadata), thread_id))


async def change(
    connection: Connection, caller: Caller, thread_id: str, metadata: Mapping[str, Any], ttl_seconds: int | None
) -> Thread | None:
    """Merges metadata; a TTL of None keeps the present one."""
    query = f"""
        UPDATE threads
        SET metadata = metadata || %(metadata)s, ttl_seconds = coalesce(%(ttl)s, ttl_seconds), updated_at = now()
        WHERE thread_id = %(thread_id)s AND {OWNED} RETURNING {COLUMNS}
    """  # noqa: S608  constants
    values = {"thread_id": thread_id, "metadata": Jsonb(metadata), "ttl": ttl_seconds}
    return await _one(connection, query, {**values, **caller.owns})


async def copy(connection: Connection, caller: Caller, thread_id: str, new_id: str) -> Thread | None:
    """A new one with its metadata and questions; None when there is nothing to copy. Its checkpoints are the saver's."""
    query = f"""
        INSERT INTO threads (thread_id, graph_id, status, metadata, interrupts, ttl_seconds, tenant, owner)
        SELECT %(new_id)s, graph_id, CASE status WHEN 'busy' THEN 'idle' ELSE status END,
            metadata, interrupts, ttl_seconds, tenant, owner
        FROM threads WHERE thread_id = %(thread_id)s AND {OWNED}
        RETURNING {COLUMNS}
    """  # noqa: S608  constants
    return await _one(connection, query, {"thread_id": thread_id, "new_id": new_id, **caller.owns})


async def of_assistant(connection: Connection, caller: Caller, assistant_id: str) -> list[str]:
    """Those that its runs wrote to, of stateless runs too."""
    query = f"SELECT thread_id FROM threads WHERE metadata @> %(metadata)s AND {OWNED}"  # noqa: S608  constants
    values = {"metadata": Jsonb({"assistant_id": assistant_id}), **caller.owns}
    return [row["thread_id"] for row in await (await connection.execute(query.encode(), values)).fetchall()]


async def quiet(connection: Connection, caller: Caller, thread_ids: Sequence[str]) -> list[str]:
    """Those of them that no run works on."""
    query = f"SELECT thread_id FROM threads WHERE thread_id = ANY(%(ids)s) AND status <> 'busy' AND {OWNED}"  # noqa: S608  constants
    cursor = await connection.execute(query.encode(), {"ids": list(thread_ids), **caller.owns})
    return [row["thread_id"] for row in await cursor.fetchall()]


async def delete(connection: Connection, caller: Caller, thread_ids: Sequence[str]) -> list[str]:
    """Those of them that there were, with their runs and events; their checkpoints are the saver's."""
    query = f"""
        WITH chosen AS (
            SELECT thread_id FROM threads WHERE thread_id = ANY(%(ids)s) AND {OWNED} ORDER BY thread_id FOR UPDATE
        )
        DELETE FROM threads USING chosen WHERE threads.thread_id = chosen.thread_id RETURNING threads.thread_id
    """  # noqa: S608  constants
    cursor = await connection.execute(query.encode(), {"ids": list(thread_ids), **caller.owns})
    return [row["thread_id"] for row in await cursor.fetchall()]


async def delete_expired(connection: Connection, limit: int) -> list[str]:
    """Deletes threads past their time to live that nobody works on; their checkpoints are the saver's."""
    query = """
        WITH expired AS (
            SELECT thread_id FROM threads
            WHERE ttl_seconds IS NOT NULL AND updated_at < now() - make_interval(secs => ttl_seconds)
                AND NOT EXISTS (
                    SELECT FROM runs WHERE runs.thread_id = threads.thread_id AND runs.status IN ('pending', 'running')
                )
            ORDER BY updated_at LIMIT %s FOR UPDATE SKIP LOCKED
        )
        DELETE FROM threads USING expired WHERE threads.thread_id = expired.thread_id RETURNING threads.thread_id
    """
    return [row["thread_id"] for row in await (await connection.execute(query, (limit,))).fetchall()]


async def to_prune(connection: Connection, quiet_seconds: float, limit: int) -> list[str]:
    """Threads unchanged for so long whose older checkpoints are still kept."""
    query = """
        SELECT thread_id FROM threads
        WHERE updated_at < now() - make_interval(secs => %s) AND (pruned_at IS NULL OR pruned_at < updated_at)
            AND status <> 'busy'
        ORDER BY updated_at LIMIT %s
    """
    return [row["thread_id"] for row in await (await connection.execute(query, (quiet_seconds, limit))).fetchall()]


async def mark_pruned(connection: Connection, thread_ids: Sequence[str]) -> None:
    await connection.execute("UPDATE threads SET pruned_at = now() WHERE thread_id = ANY(%s)", (list(thread_ids),))


@dataclass(frozen=True)
class Search:
    """Which threads, in which order. An empty condition is none; threads of stateless runs are never found."""

    metadata: dict[str, Any]
    status: str | None
    ids: list[str] | None
    sort_by: str = "updated_at"
    descending: bool = True
    limit: int = 10
    offset: int = 0


CONDITION = f"""
    NOT temporary AND {OWNED} AND (%(metadata)s::jsonb = '{{}}' OR metadata @> %(metadata)s::jsonb)
    AND (%(status)s::text IS NULL OR status = %(status)s)
    AND (%(ids)s::text[] IS NULL OR thread_id = ANY(%(ids)s))
"""


async def search(connection: Connection, caller: Caller, wanted: Search) -> list[Thread]:
    query = SQL("SELECT {columns} FROM threads WHERE {condition} ORDER BY {sort} {order}, thread_id LIMIT %(limit)s OFFSET %(offset)s").format(
        columns=SQL(COLUMNS),
        condition=SQL(CONDITION),
        sort=Identifier(wanted.sort_by),
        order=SQL("DESC" if wanted.descending else "ASC"),
    )  # fmt: skip
    cursor = await connection.execute(query, _values(caller, wanted))
    return [_thread(row) for row in await cursor.fetchall()]


async def count(connection: Connection, caller: Caller, wanted: Search) -> int:
    query = SQL("SELECT count(*) AS found FROM threads WHERE {}").format(SQL(CONDITION))
    return cast("DictRow", await (await connection.execute(query, _values(caller, wanted))).fetchone())["found"]


def _values(caller: Caller, wanted: Search) -> dict[str, Any]:
    return {
        **caller.owns,
        "metadata": Jsonb(wanted.metadata),
        "status": wanted.status,
        "ids": wanted.ids,
        "limit": wanted.limit,
        "offset": wanted.offset,
    }
