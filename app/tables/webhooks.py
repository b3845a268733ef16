"""The webhooks table: ends of runs that somebody is to be told of. A trigger on runs writes it (migration 0012)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True)
class Webhook:
    """One to deliver. `attempts` counts the present one, and is what it is held by."""

    run_id: UUID
    tenant: str
    owner: str
    url: bytes
    run: dict[str, Any]
    state: bytes | None  # JSON
    attempts: int
    now: datetime  # the database's time


def _webhook(row: Mapping[str, Any]) -> Webhook:
    return Webhook(**{name: row[name] for name in Webhook.__dataclass_fields__})


async def add_state(connection: Connection, run_id: UUID, state: bytes) -> None:
    """The values of its thread, in the transaction that ended the run."""
    await connection.execute("UPDATE webhooks SET state = %s WHERE run_id = %s", (state, run_id))


async def take_due(
    connection: Connection, limit: int, lease_seconds: float, without: Sequence[tuple[str, str]]
) -> list[Webhook]:
    """Counts an attempt for each, and makes it due again in case that whoever takes it says nothing more.

    `without` are users, each a tenant and an owner.
    """
    query = """
        UPDATE webhooks SET attempts = attempts + 1, due_at = now() + make_interval(secs => %(lease)s)
        WHERE run_id IN (
            SELECT run_id FROM webhooks WHERE NOT dead AND due_at <= now()
                AND (tenant, owner) NOT IN (SELECT * FROM unnest(%(tenants)s::text[], %(owners)s::text[]))
            ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        )
        RETURNING run_id, tenant, owner, url, run, state, attempts, now() AS now
    """
    values = {
        "lease": lease_seconds,
        "limit": limit,
        "tenants": [tenant for tenant, _ in without],
        "owners": [owner for _, owner in without],
    }
    return [_webhook(row) for row in await (await connection.execute(query, values)).fetchall()]


async def delivered(connection: Connection, run_id: UUID) -> None:
    await connection.execute("DELETE FROM webhooks WHERE run_id = %s", (run_id,))


async def failed(connection: Connection, webhook: Webhook, problem: str, after_seconds: float | None) -> None:
    """To be tried again, or None for never; unless a later attempt was begun."""
    query = """
        UPDATE webhooks SET problem = %(problem)s, dead = %(after)s::float IS NULL,
            due_at = CASE WHEN %(after)s::float IS NULL THEN now() ELSE now() + make_interval(secs => %(after)s) END
        WHERE run_id = %(run_id)s AND attempts = %(attempts)s
    """
    values = {"problem": problem, "after": after_seconds, "run_id": webhook.run_id, "attempts": webhook.attempts}
    await connection.execute(query, values)


async def delete_dead(connection: Connection, seconds: float, limit: int) -> int:
    """Forgets those that were given up so long ago."""
    query = """
        DELETE FROM webhooks WHERE run_id IN (
            SELECT run_id FROM webhooks WHERE dead AND due_at < now() - make_interval(secs => %s) LIMIT %s
        )
    """
    return (await connection.execute(query, (seconds, limit))).rowcount


async def delete_of_threads(connection: Connection, thread_ids: Sequence[str]) -> None:
    """What it holds of threads that a user deletes; they are the caller's."""
    await connection.execute("DELETE FROM webhooks WHERE thread_id = ANY(%s)", (list(thread_ids),))
