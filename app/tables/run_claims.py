"""Claims on rows of the runs table: taken, renewed, given back, lost, and ended. The database's clock is the only one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, LiteralString
from uuid import UUID

import orjson
from psycopg.types.json import Json, Jsonb

from app.runtime.run import CancelAction, Claim, Outcome
from app.tables.planning import PENDING, RUNNING, few
from app.tables.runs import Connection

# Within a thread the order is that of acceptance. Both rows are locked, so a thread that is being changed by hand is
# passed over; the unique index on running runs decides whatever two snapshots could not see of each other.
_CLAIM = """
    WITH next AS (
        SELECT runs.run_id, runs.thread_id FROM runs JOIN threads USING (thread_id)
        WHERE runs.status = 'pending' AND runs.available_at <= now() AND {chosen}
            AND NOT EXISTS (
                SELECT FROM runs AS other
                WHERE other.thread_id = runs.thread_id
                    AND (other.status = 'running' OR (other.status = 'pending' AND other.number < runs.number))
            )
        ORDER BY runs.rank, runs.number
        LIMIT %(limit)s
        FOR UPDATE OF runs, threads SKIP LOCKED
    ), busy AS (
        UPDATE threads SET status = 'busy', updated_at = now() FROM next WHERE threads.thread_id = next.thread_id
    )
    UPDATE runs SET
        status = 'running', worker = %(worker)s, fence = fence + 1, updated_at = now(),
        lease_until = now() + make_interval(secs => %(lease)s), started_at = coalesce(started_at, now())
    FROM next WHERE runs.run_id = next.run_id
    RETURNING runs.*, extract(epoch FROM now() - greatest(created_at, available_at))::float AS waited_seconds
"""
# Two losses in a row without getting on: it may be what ends its workers, or have been beside it.
SUSPECT = 2
CLAIM = _CLAIM.format(chosen=f"runs.failures < {SUSPECT}")
CLAIM_SUSPECT = _CLAIM.format(chosen=f"runs.failures >= {SUSPECT}")

RENEW = f"""
    UPDATE runs SET lease_until = now() + make_interval(secs => %(lease)s)
    FROM {few("unnest(%(run_ids)s::uuid[], %(fences)s::bigint[]) AS held (run_id, fence)")} AS held
    WHERE runs.run_id = held.run_id AND runs.fence = held.fence AND runs.{RUNNING}
    RETURNING runs.run_id, runs.cancel_action
"""  # noqa: S608  constants


# Two orders of these locks would deadlock: the thread's first, as acceptance takes it. The run's is FOR UPDATE: what is
# being stored of it (SAVE in checkpoint_statements) is there before it has ended, and the thread's next run begins.
def _lock(fence: LiteralString = "fence = %(fence)s") -> LiteralString:
    return f"""
        thread AS (
            SELECT thread_id FROM threads WHERE thread_id = %(thread_id)s FOR UPDATE
        ), held AS (
            SELECT run_id FROM runs JOIN thread USING (thread_id)
            WHERE run_id = %(run_id)s AND {fence} AND runs.{RUNNING}
            FOR UPDATE OF runs
        )
    """  # noqa: S608  constants


LOCK = f"WITH {_lock()} SELECT run_id FROM held"  # noqa: S608  constants

_ENDINGS = """
    json_to_recordset(%(endings)s) AS ending (
        run_id uuid, fence bigint, thread_id text, status text, error jsonb, thread_status text, interrupts text[])
"""
# Many share it, and so it waits for nobody: a thread that is being changed must not hold up the others' ends.
FINISH = f"""
    WITH ending AS MATERIALIZED {few(_ENDINGS)}, held AS MATERIALIZED (
        SELECT ending.*, EXISTS (
            SELECT FROM runs AS next WHERE next.thread_id = ending.thread_id AND {PENDING}
        ) AS next_waits
        FROM ending CROSS JOIN LATERAL (
            SELECT FROM threads WHERE threads.thread_id = ending.thread_id FOR UPDATE SKIP LOCKED
        ) AS thread CROSS JOIN LATERAL (
            SELECT FROM runs
            WHERE runs.run_id = ending.run_id AND runs.fence = ending.fence AND runs.{RUNNING}
            FOR UPDATE SKIP LOCKED
        ) AS run
    ), ended AS (
        UPDATE runs SET
            status = held.status, error = held.error, worker = NULL, lease_until = NULL,
            cancel_action = NULL, ended_at = now(), updated_at = now()
        FROM held WHERE runs.run_id = held.run_id
        RETURNING held.*
    ), settled AS (
        UPDATE threads SET
            status = CASE
                WHEN ended.next_waits THEN 'busy'
                WHEN ended.interrupts IS NOT NULL THEN ended.thread_status
                WHEN threads.interrupts = '{{}}' THEN 'idle'
                ELSE 'interrupted' END,
            interrupts = coalesce(ended.interrupts, threads.interrupts), updated_at = now()
        FROM ended WHERE threads.thread_id = ended.thread_id
    )
    SELECT run_id, fence, next_waits FROM ended
"""  # noqa: S608  constants

# Bears repetition, when an answer was lost: nobody else raises the fence while the lease lasts.
FENCE_OFF = f"""
    WITH {_lock("fence IN (%(fence)s, %(fence)s + 1)")}
    UPDATE runs SET fence = %(fence)s + 1 FROM held WHERE runs.run_id = held.run_id
    RETURNING fence
"""  # noqa: S608  constants

TAKE_BACK = f"""
    WITH {_lock()}, gone AS (
        DELETE FROM runs USING held WHERE runs.run_id = held.run_id
        RETURNING runs.run_id
    ), settled AS (
        UPDATE threads SET
            status = CASE
                WHEN EXISTS (SELECT FROM runs WHERE thread_id = %(thread_id)s AND {PENDING}) THEN 'busy'
                WHEN threads.interrupts = '{{}}' THEN 'idle'
                ELSE 'interrupted' END,
            updated_at = now()
        FROM gone WHERE threads.thread_id = %(thread_id)s
    )
    SELECT run_id FROM gone
"""  # noqa: S608  constants

# Back into the queue in the old place. A hand-over counts no failure; a lost connection does, and waits longer each time.
RELEASE = f"""
    UPDATE runs SET
        status = 'pending', worker = NULL, lease_until = NULL, failures = failures + %(failed)s, updated_at = now(),
        available_at = now() + make_interval(secs => %(after)s)
    FROM (
        SELECT run_id FROM runs WHERE run_id = %(run_id)s AND fence = %(fence)s AND {RUNNING} FOR UPDATE
    ) AS held
    WHERE runs.run_id = held.run_id
    RETURNING runs.run_id
"""  # noqa: S608  constants

# Failures are those since the run last got on: one that takes its worker with it at the same step each time is given up,
# one that lost many in a long life is not.
REAP = """
    WITH expired AS (
        SELECT run_id, failures, lost_at, (
                SELECT max(checkpoint_id) FROM checkpoints WHERE checkpoints.thread_id = runs.thread_id
            ) AS newest
        FROM runs WHERE status = 'running' AND lease_until < now()
        ORDER BY run_id LIMIT 1000 FOR UPDATE OF runs SKIP LOCKED
    ), counted AS (
        SELECT run_id, newest, CASE WHEN newest IS DISTINCT FROM lost_at THEN 0 ELSE failures END AS before FROM expired
    )
    UPDATE runs SET
        status = 'pending', worker = NULL, lease_until = NULL, updated_at = now(),
        failures = before + 1, lost_at = newest,
        available_at = now() + make_interval(secs => least(power(2, before) - 1, 30))
    FROM counted WHERE runs.run_id = counted.run_id
    RETURNING runs.run_id, runs.failures
"""


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that ended, and whether another waits on its thread."""

    next_waits: bool


def _claim(row: Mapping[str, Any]) -> Claim:
    """A claim from a row that was just claimed."""
    return Claim(
        run_id=row["run_id"],
        thread_id=row["thread_id"],
        graph_id=row["graph_id"],
        encoded=bytes(row["request"]),
        recorded=row["recorded"],
        fence=row["fence"],
        failures=row["failures"],
        trace_context=row["trace_context"],
        cancel_action=row["cancel_action"],
        waited_seconds=row["waited_seconds"],
        tenant=row["tenant"],
        owner=row["owner"],
        has_webhook=row["webhook"] is not None,
    )


async def claim(
    connection: Connection, worker: UUID, limit: int, lease_seconds: float, *, suspects: bool = False
) -> list[Claim]:
    """Up to `limit` runs, best rank first. Raises UniqueViolation when another process was quicker on a thread."""
    values = {"worker": worker, "limit": limit, "lease": lease_seconds}
    rows = await (await connection.execute((CLAIM_SUSPECT if suspects else CLAIM).encode(), values)).fetchall()
    return [_claim(row) for row in sorted(rows, key=lambda row: (row["rank"], row["number"]))]


async def renew(
    connection: Connection, held: Mapping[UUID, int], lease_seconds: float
) -> dict[UUID, CancelAction | None]:
    """Those still held, each with the cancellation asked of it."""
    values = {"run_ids": list(held.keys()), "fences": list(held.values()), "lease": lease_seconds, "count": len(held)}
    rows = await (await connection.execute(RENEW, values)).fetchall()
    return {row["run_id"]: row["cancel_action"] for row in rows}


async def finish(connection: Connection, endings: Sequence[tuple[Claim, Outcome]]) -> list[Finished | None]:
    """Ends runs and settles their threads; None when a newer claim exists, or somebody has the run or thread locked."""
    rows = [
        {
            **_held(claim),
            "status": outcome.status,
            "error": outcome.error or None,
            "thread_status": outcome.thread_status,
            "interrupts": outcome.interrupts,
        }
        for claim, outcome in endings
    ]
    cursor = await connection.execute(FINISH, {"endings": Json(rows, dumps=orjson.dumps), "count": len(rows)})
    ended = {(row["run_id"], row["fence"]): Finished(row["next_waits"]) for row in await cursor.fetchall()}
    return [ended.get((claim.run_id, claim.fence)) for claim, _ in endings]


async def lock(connection: Connection, claim: Claim) -> bool:
    """Waits for whoever has the run or its thread locked, until this transaction ends; false when a newer claim exists.

    A statement of its own: the next one sees what the others did under their locks, such as a run that was accepted.
    """
    return await (await connection.execute(LOCK, _held(claim))).fetchone() is not None


async def release(connection: Connection, claim: Claim, *, failed: bool, after_seconds: float = 0) -> bool:
    """Gives a claim back; false when it was not held any more."""
    values = {"run_id": claim.run_id, "fence": claim.fence, "failed": int(failed), "after": after_seconds}
    return await (await connection.execute(RELEASE, values)).fetchone() is not None


async def fence_off(connection: Connection, claim: Claim) -> Claim | None:
    """The same claim with a newer fence: nothing more is stored by the old one. None when it was not held any more."""
    row = await (await connection.execute(FENCE_OFF, _held(claim))).fetchone()
    return replace(claim, fence=row["fence"]) if row else None


async def take_back(connection: Connection, claim: Claim) -> bool:
    """Deletes a run that was rolled back; its thread is again what it was before."""
    return await (await connection.execute(TAKE_BACK, _held(claim))).fetchone() is not None


def _held(claim: Claim) -> dict[str, Any]:
    return {"thread_id": claim.thread_id, "run_id": claim.run_id, "fence": claim.fence}


async def reap(connection: Connection) -> list[tuple[UUID, int]]:
    """Puts runs whose worker is gone back into the queue; each with its count of failures."""
    return [(row["run_id"], row["failures"]) for row in await (await connection.execute(REAP)).fetchall()]


async def give_up(connection: Connection, most_failures: int, error: Mapping[str, str]) -> list[UUID]:
    """Ends pending runs that failed too often, as dead letters; their threads say error."""
    query = """
        WITH dead AS (
            SELECT run_id, thread_id FROM runs JOIN threads USING (thread_id)
            WHERE runs.status = 'pending' AND failures > %(most)s
            ORDER BY run_id LIMIT 100 FOR UPDATE OF runs, threads SKIP LOCKED
        ), settled AS (
            UPDATE threads SET status = 'error', updated_at = now() FROM dead WHERE threads.thread_id = dead.thread_id
        )
        UPDATE runs SET status = 'error', dead_letter = true, error = %(error)s, ended_at = now(), updated_at = now()
        FROM dead WHERE runs.run_id = dead.run_id
        RETURNING runs.run_id
    """
    cursor = await connection.execute(query, {"most": most_failures, "error": Jsonb(error)})
    return [row["run_id"] for row in await cursor.fetchall()]
