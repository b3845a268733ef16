"""The runs table: acceptance, look-ups, cancellation. What workers hold is in run_claims. The database's clock is the only one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from app.runtime.run import HANDICAP_SECONDS, CancelAction, NewRun, Run
from app.security.caller import OWNED, Caller

Connection = AsyncConnection[DictRow]

COLUMNS = (
    "run_id, number, thread_id, graph_id, assistant_id, status, metadata, strategy, priority, recorded,"
    " fence, failures, dead_letter, error, request, created_at, updated_at"
)

# With a worker the run is claimed in the act: the process that accepts it has a free slot and an empty queue.
_INSERT = """
    INSERT INTO runs (
        run_id, thread_id, graph_id, assistant_id, status, request, metadata, strategy, recorded,
        idempotency_key, request_digest, trace_context, available_at, rank, priority,
        fence, worker, lease_until, started_at, tenant, owner, webhook)
    SELECT
        %(run_id)s, %(thread_id)s, %(graph_id)s, %(assistant_id)s, claimed.status, %(request)s, %(metadata)s,
        %(strategy)s, %(recorded)s, %(idempotency_key)s, %(digest)s, %(trace_context)s,
        now() + make_interval(secs => %(after)s), now() + make_interval(secs => %(after)s + %(handicap)s), %(priority)s,
        claimed.fence, %(worker)s, claimed.lease_until, claimed.started_at, %(tenant)s, %(owner)s, %(webhook)s
    FROM (
        SELECT 'pending' AS status, 0 AS fence, NULL::timestamptz AS lease_until, NULL::timestamptz AS started_at
        WHERE %(worker)s::uuid IS NULL
        UNION ALL
        SELECT 'running', 1, now() + make_interval(secs => %(lease)s), now() WHERE %(worker)s::uuid IS NOT NULL
    ) AS claimed
"""
# The caller's other unfinished runs, counted no further than needed.
_ROOM = f"""
    (%(most)s::integer IS NULL OR %(most)s >= (
        SELECT count(*) FROM (
            SELECT FROM runs
            WHERE {OWNED} AND status IN ('pending', 'running') AND run_id <> ALL (%(beside)s::uuid[])
            LIMIT %(most)s::integer + 1
        ) AS unfinished
    ))
"""  # noqa: S608  constants
HAS_ROOM = f"SELECT {_ROOM} AS room"
INSERT = f"{_INSERT} WHERE {_ROOM} RETURNING {COLUMNS}"
INSERT_WITH_THREAD = f"""
    WITH thread AS (
        INSERT INTO threads (thread_id, graph_id, status, metadata, ttl_seconds, temporary, tenant, owner)
        SELECT
            %(thread_id)s, %(graph_id)s, 'busy', %(thread_metadata)s, %(ttl)s, %(ttl)s::integer IS NOT NULL,
            %(tenant)s, %(owner)s
        WHERE {_ROOM}
        ON CONFLICT DO NOTHING
        RETURNING thread_id
    )
    {_INSERT}, thread RETURNING {COLUMNS}
"""


def _run(row: Mapping[str, Any]) -> Run:
    return Run(**{name: row[name] for name in Run.__dataclass_fields__})


async def insert(
    connection: Connection, new: NewRun, digest: bytes, worker: UUID | None, lease_seconds: float
) -> Run | None:
    """Accepts a run on a thread that exists and is locked by the caller; None when the user has too many."""
    row = await (await connection.execute(INSERT, _insert_values(new, digest, worker, lease_seconds))).fetchone()
    return _run(row) if row else None


async def insert_with_thread(
    connection: Connection, new: NewRun, digest: bytes, worker: UUID | None, lease_seconds: float
) -> Run | None:
    """Accepts a run and makes its thread in one statement; None when the thread exists, or the user has too many."""
    values = _insert_values(new, digest, worker, lease_seconds)
    row = await (await connection.execute(INSERT_WITH_THREAD, values)).fetchone()
    return _run(row) if row else None


async def has_room(connection: Connection, new: NewRun) -> bool:
    """Whether its caller may have one more unfinished run."""
    return cast("DictRow", await (await connection.execute(HAS_ROOM.encode(), _room(new))).fetchone())["room"]


def _room(new: NewRun) -> dict[str, Any]:
    room = {"most": new.room.most, "beside": list(new.room.beside)} if new.room else {"most": None, "beside": None}
    return room | new.caller.owns


def _insert_values(new: NewRun, digest: bytes, worker: UUID | None, lease_seconds: float) -> dict[str, Any]:
    return {
        **_room(new),
        "run_id": new.run_id,
        "thread_id": new.thread_id,
        "graph_id": new.graph_id,
        "assistant_id": new.assistant_id,
        "request": new.request.encoded(),
        "metadata": Jsonb(new.metadata),
        "thread_metadata": Jsonb(new.thread_metadata),
        "strategy": new.strategy,
        "ttl": new.thread_ttl_seconds,
        "recorded": new.recorded,
        "idempotency_key": new.idempotency_key,
        "digest": digest if new.idempotency_key else None,
        "trace_context": new.trace_context,
        "after": new.after_seconds,
        "handicap": HANDICAP_SECONDS[new.priority],
        "priority": new.priority,
        "worker": worker,
        "lease": lease_seconds,
        "webhook": new.webhook.encode() if new.webhook else None,
    }


async def get(connection: Connection, caller: Caller, run_id: UUID) -> Run | None:
    query = f"SELECT {COLUMNS} FROM runs WHERE run_id = %(run_id)s AND {OWNED}"  # noqa: S608  constants
    row = await (await connection.execute(query, {"run_id": run_id, **caller.owns})).fetchone()
    return _run(row) if row else None


async def present(connection: Connection, run_id: UUID) -> Run | None:
    """For who has been let in already, such as a follower of its events."""
    row = await (await connection.execute(f"SELECT {COLUMNS} FROM runs WHERE run_id = %s", (run_id,))).fetchone()  # noqa: S608  a constant
    return _run(row) if row else None


async def accepted_before(connection: Connection, caller: Caller, key: str) -> tuple[Run, bytes] | None:
    """The run that an idempotency key of the caller belongs to, and the digest of its request."""
    query = f"SELECT {COLUMNS}, request_digest FROM runs WHERE idempotency_key = %(key)s AND {OWNED}"  # noqa: S608  constants
    row = await (await connection.execute(query, {"key": key, **caller.owns})).fetchone()
    return (_run(row), bytes(row["request_digest"])) if row else None


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
    return [_run(row) for row in await cursor.fetchall()]


async def first_from(connection: Connection, caller: Caller, thread_id: str, number: int) -> Run | None:
    """The thread's first run of that number or a higher one."""
    query = f"""
        SELECT {COLUMNS} FROM runs WHERE thread_id = %(thread_id)s AND number >= %(number)s AND {OWNED}
        ORDER BY number LIMIT 1
    """  # noqa: S608  constants
    values = {"thread_id": thread_id, "number": number, **caller.owns}
    row = await (await connection.execute(query.encode(), values)).fetchone()
    return _run(row) if row else None


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
    return [LateRun(_run(row), row["end_told"], row["just_begun"]) for row in rows]


async def mark_end_told(connection: Connection, run_id: UUID) -> None:
    await connection.execute("UPDATE runs SET end_told = true WHERE run_id = %s", (run_id,))


async def unended(connection: Connection, thread_id: str) -> list[Run]:
    """The pending and running runs, oldest first, of a thread that the caller has."""
    query = f"SELECT {COLUMNS} FROM runs WHERE thread_id = %s AND status IN ('pending', 'running') ORDER BY number"  # noqa: S608  a constant
    return [_run(row) for row in await (await connection.execute(query, (thread_id,))).fetchall()]


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
