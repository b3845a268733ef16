"""New rows of the runs table, alone or many in one statement. The database's clock is the only one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from psycopg import AsyncCursor
from psycopg.rows import DictRow
from psycopg.types.json import Json

from app.runtime.run import HANDICAP_SECONDS, NewRun, Run
from app.tables.runs import COLUMNS, Connection, as_run

# A run with a worker is claimed in the act: the process that accepts it has a free slot and an empty queue.
# A user's other unfinished runs are counted no further than needed.
_NEW = """
    WITH patience AS MATERIALIZED (
        SELECT set_config('lock_timeout', %(patience)s, true)
    ), new AS MATERIALIZED (
        SELECT * FROM ROWS FROM (
            json_to_recordset(%(runs)s) AS (
                run_id uuid, thread_id text, graph_id text, assistant_id text, metadata jsonb, thread_metadata jsonb,
                strategy text, ttl integer, recorded boolean, idempotency_key text, trace_context text, after float,
                handicap float, priority text, worker uuid, tenant text, owner text, most integer,
                beside uuid[]),
            unnest(%(requests)b::bytea[]),
            unnest(%(digests)b::bytea[]),
            unnest(%(webhooks)b::bytea[])
        ) WITH ORDINALITY AS new (
            run_id, thread_id, graph_id, assistant_id, metadata, thread_metadata, strategy, ttl, recorded,
            idempotency_key, trace_context, after, handicap, priority, worker, tenant, owner, most, beside,
            request, digest, webhook, place)
    ), welcome AS MATERIALIZED (
        SELECT DISTINCT ON (thread_id) new.* FROM new, patience
        WHERE most IS NULL OR most >= (
            SELECT count(*) FROM (
                SELECT FROM runs
                WHERE runs.tenant = new.tenant AND runs.owner = new.owner AND status IN ('pending', 'running')
                    AND runs.run_id <> ALL (new.beside)
                LIMIT new.most + 1
            ) AS unfinished
        )
        ORDER BY thread_id, place
    )
"""
_INSERT = f"""
    INSERT INTO runs (
        run_id, thread_id, graph_id, assistant_id, status, request, metadata, strategy, recorded,
        idempotency_key, request_digest, trace_context, available_at, rank, priority,
        fence, worker, lease_until, started_at, tenant, owner, webhook)
    SELECT
        run_id, thread_id, graph_id, assistant_id, claimed.status, request, metadata, strategy, recorded,
        idempotency_key, digest, trace_context,
        now() + make_interval(secs => after), now() + make_interval(secs => after + handicap), priority,
        claimed.fence, worker, claimed.lease_until, claimed.started_at, tenant, owner, webhook
    FROM {{welcome}} CROSS JOIN LATERAL (
        SELECT 'pending' AS status, 0 AS fence, NULL::timestamptz AS lease_until, NULL::timestamptz AS started_at
        WHERE worker IS NULL
        UNION ALL
        SELECT 'running', 1, now() + make_interval(secs => %(lease)s), now() WHERE worker IS NOT NULL
    ) AS claimed
    RETURNING {COLUMNS}
"""  # noqa: S608  constants
HAS_ROOM = f"{_NEW} SELECT FROM welcome"
INSERT = _NEW + _INSERT.format(welcome="welcome")
INSERT_WITH_THREADS = f"""
    {_NEW}, thread AS (
        INSERT INTO threads (thread_id, graph_id, status, metadata, ttl_seconds, temporary, tenant, owner)
        SELECT thread_id, graph_id, 'busy', thread_metadata, ttl, ttl IS NOT NULL, tenant, owner FROM welcome
        ON CONFLICT DO NOTHING
        RETURNING thread_id AS made
    )
    {_INSERT.format(welcome="thread JOIN welcome ON thread_id = made")}
"""  # noqa: S608  constants


@dataclass(frozen=True)
class Acceptance:
    """A run to insert: what tells repetitions with its key, and who claims it in the act."""

    new: NewRun
    digest: bytes = b""
    worker: UUID | None = None

    @cached_property
    def encoded(self) -> bytes:
        return self.new.request.encoded()


async def insert(connection: Connection, acceptance: Acceptance, lease_seconds: float) -> Run | None:
    """Accepts a run on a thread that exists and is locked by the caller; None when the user has too many."""
    row = await (await _execute(connection, INSERT, [acceptance], lease_seconds)).fetchone()
    return as_run(row) if row else None


async def insert_with_threads(
    connection: Connection, acceptances: Sequence[Acceptance], lease_seconds: float, patience_seconds: float = 0
) -> list[Run | None]:
    """Accepts runs and makes their threads; None for one whose thread exists, or whose user has too many.

    Raises LockNotAvailable when somebody makes or deletes one of the threads for longer than the patience; 0 is any.
    """
    cursor = await _execute(connection, INSERT_WITH_THREADS, acceptances, lease_seconds, patience_seconds)
    accepted = {row["run_id"]: as_run(row) for row in await cursor.fetchall()}
    return [accepted.get(acceptance.new.run_id) for acceptance in acceptances]


async def has_room(connection: Connection, new: NewRun) -> bool:
    """Whether its caller may have one more unfinished run."""
    return (await _execute(connection, HAS_ROOM, [Acceptance(new)])).rowcount > 0


async def _execute(
    connection: Connection,
    statement: str,
    acceptances: Sequence[Acceptance],
    lease_seconds: float = 0,
    patience_seconds: float = 0,
) -> AsyncCursor[DictRow]:
    values = {
        "runs": Json([_row(acceptance) for acceptance in acceptances]),
        "requests": [acceptance.encoded for acceptance in acceptances],
        "digests": [acceptance.digest if acceptance.new.idempotency_key else None for acceptance in acceptances],
        "webhooks": [acceptance.new.webhook.encode() if acceptance.new.webhook else None for acceptance in acceptances],
        "patience": f"{1000 * patience_seconds:.0f}ms",
        "lease": lease_seconds,
    }
    return await connection.execute(statement.encode(), values)


def _row(acceptance: Acceptance) -> dict[str, Any]:
    new = acceptance.new
    return {
        **new.caller.owns,
        "most": new.room and new.room.most,
        "beside": new.room and [str(run_id) for run_id in new.room.beside],
        "run_id": str(new.run_id),
        "thread_id": new.thread_id,
        "graph_id": new.graph_id,
        "assistant_id": new.assistant_id,
        "metadata": new.metadata,
        "thread_metadata": new.thread_metadata,
        "strategy": new.strategy,
        "ttl": new.thread_ttl_seconds,
        "recorded": new.recorded,
        "idempotency_key": new.idempotency_key,
        "trace_context": new.trace_context,
        "after": new.after_seconds,
        "handicap": HANDICAP_SECONDS[new.priority],
        "priority": new.priority,
        "worker": acceptance.worker and str(acceptance.worker),
    }
