"""The runs table: look-ups, cancellation, deletion. New rows are in run_acceptance, what workers hold in run_claims."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from app.runtime.run import CancelAction, Run
from app.security.caller import OWNED, Caller

Connection = AsyncConnection[DictRow]

COLUMNS = (
    "run_id, number, thread_id, graph_id, assistant_id, status, metadata, strategy, priority, recorded,"
    " fence, failures, dead_letter, error, request, created_at, updated_at"
)


def as_run(row: Mapping[str, Any]) -> Run:
    return Run(**{name: row[name] for name in Run.__dataclass_fields__})


async def get(connection: Connection, caller: Caller, run_id: UUID) -> Run | None:
    query = f"SELECT {COLUMNS} FROM runs WHERE run_id = %(run_id)s AND {OWNED}"  # noqa: S608  constants
    row = await (await connection.execute(query, {"run_id": run_id, **caller.owns})).fetchone()
    return as_run(row) if row else None


async def present(connection: Connection, run_id: UUID) -> Run | None:
    """For who has been let in already, such as a follower of its events."""
    row = await (await connection.execute(f"SELECT {COLUMNS} FROM runs WHERE run_id = %s", (run_id,))).fetchone()  # noqa: S608  a constant
    return as_run(row) if row else None


async def accepted_before(connection: Connection, caller: Caller, key: str) -> tuple[Run, bytes] | None:
    """The run that an idempotency key of the caller belongs to, and the digest of its request."""
    query = f"SELECT {COLUMNS}, request_digest FROM runs WHERE idempotency_key = %(key)s AND {OWNED}"  # noqa: S608  constants
    row = await (await connection.execute(query, {"key": key, **caller.owns})).fetchone()
    return (as_run(row), bytes(row["request_digest"])) if row else None


async def of_thread(
    connection: Connection, caller: Caller, thread_id: str, status: str | None, limit: int, offset: int
) -> list[Run]:
    """Newest first."""
    query = f"""
        SELECT {COLUMNS} FROM runs
        WHERE thread_id = %(thread_id)s AND (%(status)s::text IS NULL OR status = ANY(%(statuses)s)) AND {OWNED}
        ORDER BY number DESC LIMIT %(limit)s OFFSET %(offset)s
    """  # noqa: S608  constants
    statuses = ["interrupted", "cancelled"] if status == "interrupted" else [status]  # clients know no cancelled
    values = {"thread_id": thread_id, "status": status, "statuses": statuses, "limit": limit, "offset": offset}
    cursor = await connection.execute(query, {**values, **caller.owns})
    return [as_run(row) for row in await cursor.fetchall()]


async def first_from(connection: Connection, caller: Caller, thread_id: str, number: int) -> Run | None:
    """The thread's first run of that number or a higher one."""
    query = f"""
        SELECT {COLUMNS} FROM runs WHERE thread_id = %(thread_id)s AND number >= %(number)s AND {OWNED}
        ORDER BY number LIMIT 1
    """  # noqa: S608  constants
    values = {"thread_id": thread_id, "number": number, **caller.owns}
    row = await (await connection.execute(query.encode(), values)).fetchone()
    return as_run(row) if row else None


@dataclass(frozen=True)
class LateRun:
    """A run as those see it who begin to follow its thread."""

    run: Run
    end_told: bool
    just_begun: bool


async def late(connection: Connection, caller: Caller, thread_id: str, seconds: float) -> list[LateRun]:
    """The thread's runs that have not ended or were accepted so short a time ago, and the newest; oldest first."""
    query = f"""
        SELECT {COLUMNS}, end_told, created_at > now() - make_interval(secs => %(seconds)s) AS just_begun FROM runs
        WHERE thread_id = %(thread_id)s AND {OWNED} AND (
            status IN ('pending', 'running') OR created_at > now() - make_interval(secs => %(seconds)s)
            OR number = (SELECT max(number) FROM runs WHERE thread_id = %(thread_id)s))
        ORDER BY number
    """  # noqa: S608  constants
    values = {"thread_id": thread_id, "seconds": seconds, **caller.owns}
    rows = await (await connection.execute(query.encode(), values)).fetchall()
    return [LateRun(as_run(row), row["end_told"], row["just_begun"]) for row in rows]


async def mark_end_told(connection: Connection, run_id: UUID) -> None:
    await connection.execute("UPDATE runs SET end_told = true WHERE run_id = %s", (run_id,))


async def unended(connection: Connection, thread_id: str) -> list[Run]:
    """The pending and running runs, oldest first, of a thread that the caller has."""
    query = f"SELECT {COLUMNS} FROM runs WHERE thread_id = %s AND status IN ('pending', 'running') ORDER BY number"  # noqa: S608  a constant
    return [as_run(row) for row in await (await connection.execute(query, (thread_id,))).fetchall()]


async def unended_where(
    connection: Connection,
    caller: Caller,
    thread_ids: Collection[str] | None = None,
    run_ids: Collection[UUID] | None = None,
    assistant_id: str | None = None,
    status: Literal["pending", "running", "all"] = "all",
) -> list[UUID]:
    """Newest first, so that none begins because one before it ended."""
    query = f"""
        SELECT run_id FROM runs
        WHERE status IN ('pending', 'running') AND (%(status)s = 'all' OR status = %(status)s)
            AND (%(thread_ids)s::text[] IS NULL OR thread_id = ANY(%(thread_ids)s))
            AND (%(run_ids)s::uuid[] IS NULL OR run_id = ANY(%(run_ids)s))
            AND (%(assistant_id)s::text IS NULL OR assistant_id = %(assistant_id)s) AND {OWNED}
        ORDER BY number DESC
    """  # noqa: S608  constants
    values = {
        "thread_ids": None if thread_ids is None else list(thread_ids),
        "run_ids": None if run_ids is None else list(run_ids),
        "assistant_id": assistant_id,
        "status": status,
    }
    cursor = await connection.execute(query.encode(), {**values, **caller.owns})
    return [row["run_id"] for row in await cursor.fetchall()]


async def ask_to_cancel(connection: Connection, run_ids: Collection[UUID], action: CancelAction) -> None:
    """Their workers read it with the next renewal at the latest."""
    query = "UPDATE runs SET cancel_action = %s, updated_at = now() WHERE run_id = ANY(%s) AND status = 'running'"
    await connection.execute(query, (action, list(run_ids)))


async def cancel_pending(connection: Connection, run_ids: Collection[UUID]) -> list[UUID]:
    """Ends those that no worker has begun or taken up again."""
    query = """
        UPDATE runs SET status = 'cancelled', ended_at = now(), updated_at = now()
        WHERE run_id = ANY(%s) AND status = 'pending'
        RETURNING run_id
    """
    return [row["run_id"] for row in await (await connection.execute(query, (list(run_ids),))).fetchall()]


async def mark_for_rollback(connection: Connection, run_ids: Collection[UUID]) -> None:
    """For pending runs that a worker had begun: the next worker takes back what they stored, and nothing else."""
    query = (
        "UPDATE runs SET cancel_action = 'rollback', available_at = now() WHERE run_id = ANY(%s) AND status = 'pending'"
    )
    await connection.execute(query, (list(run_ids),))


async def delete(connection: Connection, run_ids: Collection[UUID]) -> None:
    await connection.execute("DELETE FROM runs WHERE run_id = ANY(%s)", (list(run_ids),))


async def delete_ended(connection: Connection, seconds: float, limit: int) -> int:
    """Forgets runs that ended so long ago, with their events; what they wrote to their threads stays."""
    query = """
        DELETE FROM runs WHERE run_id IN (
            SELECT run_id FROM runs WHERE ended_at < now() - make_interval(secs => %s) ORDER BY ended_at LIMIT %s
        )
    """
    return (await connection.execute(query, (seconds, limit))).rowcount


async def pending_at_most(connection: Connection, limit: int) -> int:
    """How many wait, counted no further than the limit. Delayed runs are not waiting yet."""
    query = """
        SELECT count(*) AS found FROM (
            SELECT FROM runs WHERE status = 'pending' AND available_at <= now() LIMIT %s
        ) AS waiting
    """
    return cast("DictRow", await (await connection.execute(query, (limit,))).fetchone())["found"]


async def queue_statistics(connection: Connection) -> list[DictRow]:
    """By priority: how many wait, for how long the oldest, how many run. Delayed runs are not waiting yet."""
    query = """
        SELECT priority,
            count(*) FILTER (WHERE status = 'pending' AND available_at <= now()) AS waiting,
            count(*) FILTER (WHERE status = 'pending' AND available_at > now()) AS delayed,
            count(*) FILTER (WHERE status = 'running') AS running,
            coalesce(extract(epoch FROM now() - min(greatest(created_at, available_at))
                FILTER (WHERE status = 'pending' AND available_at <= now())), 0)::float AS oldest_seconds
        FROM runs WHERE status IN ('pending', 'running') GROUP BY priority
    """
    return await (await connection.execute(query)).fetchall()
