"""The run_events table: what a run's streams show, kept so that a stream can be resumed by any process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from app.tables.planning import RUNNING, few

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream; `id` counts from 1 within the run."""

    id: int
    event: str
    data: bytes  # JSON


_NEW = """
    unnest(%(run_ids)s::uuid[], %(fences)s::bigint[], %(ids)s::bigint[], %(events)s::text[], %(data)s::bytea[])
        AS new (run_id, fence, id, event, data)
"""
# Of a run that was claimed anew, the former worker's events are dropped. The rows of runs stay locked until the events
# are there: whoever takes a run away locks its row FOR UPDATE, and numbers its own events after these.
APPEND = f"""
    WITH new AS MATERIALIZED {few(_NEW)}, held AS MATERIALIZED (
        SELECT runs.run_id, runs.fence FROM runs
        JOIN (SELECT DISTINCT run_id, fence FROM new) AS claim ON runs.run_id = claim.run_id AND runs.fence = claim.fence
        WHERE runs.{RUNNING}
        FOR KEY SHARE OF runs
    ), added AS (
        INSERT INTO run_events (run_id, id, event, data)
        SELECT run_id, id, event, data FROM new JOIN held USING (run_id, fence)
        ON CONFLICT DO NOTHING
    )
    SELECT run_id FROM held
"""  # noqa: S608  constants


async def append(connection: Connection, rows: Sequence[tuple[UUID, int, Event]]) -> set[UUID]:
    """Adds (run, fence, event) rows of any number of runs in one statement. Returns the runs that are still held."""
    values = {
        "count": len(rows),
        "run_ids": [run_id for run_id, _, _ in rows],
        "fences": [fence for _, fence, _ in rows],
        "ids": [event.id for _, _, event in rows],
        "events": [event.event for _, _, event in rows],
        "data": [event.data for _, _, event in rows],
    }
    return {row["run_id"] for row in await (await connection.execute(APPEND, values)).fetchall()}


async def after(connection: Connection, run_id: UUID, last_id: int, limit: int) -> list[Event]:
    query = "SELECT id, event, data FROM run_events WHERE run_id = %s AND id > %s ORDER BY id LIMIT %s"
    cursor = await connection.execute(query, (run_id, last_id, limit))
    return [Event(row["id"], row["event"], bytes(row["data"])) for row in await cursor.fetchall()]


async def newest(connection: Connection, run_id: UUID) -> int:
    """The last id used, 0 before any."""
    query = "SELECT coalesce(max(id), 0) AS id FROM run_events WHERE run_id = %s"
    return cast("DictRow", await (await connection.execute(query, (run_id,))).fetchone())["id"]


async def newest_states(connection: Connection, run_id: UUID, limit: int) -> list[Event]:
    """The last events about the state, newest first."""
    query = """
        SELECT id, event, data FROM run_events
        WHERE run_id = %s AND (event LIKE 'values%%' OR event LIKE 'updates%%')
        ORDER BY id DESC LIMIT %s
    """
    cursor = await connection.execute(query, (run_id, limit))
    return [Event(row["id"], row["event"], bytes(row["data"])) for row in await cursor.fetchall()]


async def delete_old(connection: Connection, seconds: float, limit: int) -> int:
    """Forgets events of runs that ended so long ago."""
    query = """
        DELETE FROM run_events WHERE (run_id, id) IN (
            SELECT run_id, id FROM run_events JOIN runs USING (run_id)
            WHERE run_events.created_at < now() - make_interval(secs => %(seconds)s)
                AND runs.ended_at < now() - make_interval(secs => %(seconds)s)
            LIMIT %(limit)s
        )
    """
    return (await connection.execute(query, {"seconds": seconds, "limit": limit})).rowcount
