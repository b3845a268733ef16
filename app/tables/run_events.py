"""The run_events table: what a run's streams show, kept so that a stream can be resumed by any process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream; `id` counts from 1 within the run."""

    id: int
    event: str
    data: bytes  # JSON


# Of a run that was claimed anew, the former worker's events are dropped.
APPEND = """
    INSERT INTO run_events (run_id, id, event, data)
    SELECT new.run_id, new.id, new.event, new.data
    FROM unnest(%(run_ids)s::uuid[], %(fences)s::bigint[], %(ids)s::bigint[], %(events)s::text[], %(data)s::bytea[])
        AS new (run_id, fence, id, event, data)
    JOIN runs ON runs.run_id = new.run_id AND runs.fence = new.fence AND runs.status = 'running'
    ON CONFLICT DO NOTHING
"""


async def append(connection: Connection, rows: Sequence[tuple[UUID, int, Event]]) -> None:
    """Adds (run, fence, event) rows of any number of runs in one statement."""
    values = {
        "run_ids": [run_id for run_id, _, _ in rows],
        "fences": [fence for _, fence, _ in rows],
        "ids": [event.id for _, _, event in rows],
        "events": [event.event for _, _, event in rows],
        "data": [event.data for _, _, event in rows],
    }
    await connection.execute(APPEND, values)


async def after(connection: Connection, run_id: UUID, last_id: int, limit: int) -> list[Event]:
    query = "SELECT id, event, data FROM run_events WHERE run_id = %s AND id > %s ORDER BY id LIMIT %s"
    cursor = await connection.execute(query, (run_id, last_id, limit))
    return [Event(row["id"], row["event"], bytes(row["data"])) for row in await cursor.fetchall()]


async def newest(connection: Connection, run_id: UUID) -> int:
    """The last id used, 0 before any."""
    query = "SELECT coalesce(max(id), 0) AS id FROM run_events WHERE run_id = %s"
    row = await (await connection.execute(query, (run_id,))).fetchone()
    return row["id"] if row else 0


async def delete_old(connection: Connection, seconds: float) -> int:
    """Forgets the events of runs that ended so long ago."""
    query = """
        DELETE FROM run_events USING runs
        WHERE run_events.created_at < now() - make_interval(secs => %(seconds)s)
            AND runs.run_id = run_events.run_id AND runs.ended_at < now() - make_interval(secs => %(seconds)s)
    """
    return (await connection.execute(query, {"seconds": seconds})).rowcount
