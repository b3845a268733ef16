"""Threads whose session has ended, by the limits of their tenants."""

from __future__ import annotations

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from app.runtime.sessions import Sessions

# The soonest end of all tenants first, by an index; then each thread's own.
DELETE_ENDED = """
    WITH tenants AS (
        SELECT * FROM jsonb_to_recordset(%(tenants)s) AS of_tenant (tenant text, idle float, absolute float)
    ), ended AS (
        SELECT thread_id FROM threads LEFT JOIN tenants USING (tenant)
        WHERE status <> 'busy'
            AND (updated_at < now() - make_interval(secs => %(least_idle)s)
                OR created_at < now() - make_interval(secs => %(least_absolute)s))
            AND (
                updated_at < now() - make_interval(
                    secs => CASE WHEN tenants.tenant IS NULL THEN %(idle)s ELSE tenants.idle END)
                OR created_at < now() - make_interval(
                    secs => CASE WHEN tenants.tenant IS NULL THEN %(absolute)s ELSE tenants.absolute END)
            )
        ORDER BY thread_id LIMIT %(limit)s FOR UPDATE OF threads SKIP LOCKED
    )
    DELETE FROM threads USING ended WHERE threads.thread_id = ended.thread_id RETURNING threads.thread_id
"""


async def delete_ended(connection: AsyncConnection[DictRow], sessions: Sessions, limit: int) -> list[str]:
    """Deletes them, those that a run works on left out; their checkpoints are the saver's."""
    tenants = sessions.of_tenants()
    every = (sessions, *tenants.values())
    values = {
        "tenants": Jsonb(
            [
                {"tenant": name, "idle": session.idle_seconds, "absolute": session.absolute_seconds}
                for name, session in tenants.items()
            ]
        ),
        "idle": sessions.idle_seconds,
        "absolute": sessions.absolute_seconds,
        "least_idle": min((session.idle_seconds for session in every if session.idle_seconds), default=None),
        "least_absolute": min(
            (session.absolute_seconds for session in every if session.absolute_seconds), default=None
        ),
        "limit": limit,
    }
    return [row["thread_id"] for row in await (await connection.execute(DELETE_ENDED.encode(), values)).fetchall()]
