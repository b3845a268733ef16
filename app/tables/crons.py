"""The crons table: what runs by itself, and when next. The database's clock is the only one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from app.runtime.run import Strategy
from app.security.caller import OWNED, Caller

Connection = AsyncConnection[DictRow]
SortKey = Literal["cron_id", "assistant_id", "thread_id", "created_at", "updated_at", "next_run_at", "end_time"]

COLUMNS = (
    "cron_id, tenant, owner, assistant_id, thread_id, keep_threads, schedule, timezone, end_time, enabled, request,"
    " webhook, metadata, strategy, next_run_at, attempts, problem, created_at, updated_at"
)


@dataclass(frozen=True)
class Cron:
    """A run that begins by itself, again and again. `request` is an encoded RunRequest."""

    cron_id: UUID
    tenant: str
    owner: str
    assistant_id: str
    thread_id: str | None
    keep_threads: bool
    schedule: str
    timezone: str | None
    end_time: datetime | None
    enabled: bool
    request: bytes
    webhook: bytes | None
    metadata: dict[str, Any]
    strategy: Strategy
    next_run_at: datetime | None
    attempts: int
    problem: dict[str, str] | None
    created_at: datetime
    updated_at: datetime


def _cron(row: Mapping[str, Any]) -> Cron:
    return Cron(**{name: row[name] for name in Cron.__dataclass_fields__})


def _values(cron: Cron) -> dict[str, Any]:
    return {**vars(cron), "metadata": Jsonb(cron.metadata), "problem": Jsonb(cron.problem) if cron.problem else None}


async def now(connection: Connection) -> datetime:
    return cast("DictRow", await (await connection.execute("SELECT now() AS now")).fetchone())["now"]


async def hold_back_others(connection: Connection, caller: Caller) -> None:
    """Until the transaction ends the caller makes no cron elsewhere."""
    query = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
    await connection.execute(query, (f"crons\t{caller.tenant}\t{caller.user}",))


async def insert(connection: Connection, cron: Cron) -> None:
    query = f"""
        INSERT INTO crons ({COLUMNS}, attempt_at) VALUES (
            %(cron_id)s, %(tenant)s, %(owner)s, %(assistant_id)s, %(thread_id)s, %(keep_threads)s, %(schedule)s,
            %(timezone)s, %(end_time)s, %(enabled)s, %(request)s, %(webhook)s, %(metadata)s, %(strategy)s,
            %(next_run_at)s, 0, NULL, %(created_at)s, %(updated_at)s, %(next_run_at)s
        )
    """  # noqa: S608  a constant
    await connection.execute(query.encode(), _values(cron))


async def lock(connection: Connection, caller: Caller, cron_id: UUID) -> Cron | None:
    """The caller's cron, which neither fires nor changes until the transaction ends."""
    query = f"SELECT {COLUMNS} FROM crons WHERE cron_id = %(cron_id)s AND {OWNED} FOR UPDATE"  # noqa: S608  constants
    row = await (await connection.execute(query.encode(), {"cron_id": cron_id, **caller.owns})).fetchone()
    return _cron(row) if row else None


async def save(connection: Connection, cron: Cron) -> None:
    """What a person can change of a cron that the caller has locked, and when it fires next."""
    query = """
        UPDATE crons SET
            keep_threads = %(keep_threads)s, schedule = %(schedule)s, timezone = %(timezone)s, end_time = %(end_time)s,
            enabled = %(enabled)s, request = %(request)s, webhook = %(webhook)s, metadata = %(metadata)s,
            attempt_at = CASE WHEN next_run_at = %(next_run_at)s THEN attempt_at ELSE %(next_run_at)s END,
            next_run_at = %(next_run_at)s, attempts = %(attempts)s, updated_at = %(updated_at)s
        WHERE cron_id = %(cron_id)s
    """
    await connection.execute(query, _values(cron))


async def delete(connection: Connection, caller: Caller, cron_id: UUID) -> bool:
    query = f"DELETE FROM crons WHERE cron_id = %(cron_id)s AND {OWNED}"  # noqa: S608  constants
    return (await connection.execute(query.encode(), {"cron_id": cron_id, **caller.owns})).rowcount > 0


async def disable(connection: Connection, caller: Caller, thread_ids: Sequence[str] | None) -> None:
    """Those that run on these threads, all of the caller's for None. Waits for one that fires just now."""
    query = f"""
        UPDATE crons SET enabled = false, updated_at = now()
        WHERE enabled AND {OWNED} AND (%(ids)s::text[] IS NULL OR thread_id = ANY(%(ids)s))
    """  # noqa: S608  constants
    values = {"ids": None if thread_ids is None else list(thread_ids), **caller.owns}
    await connection.execute(query.encode(), values)


@dataclass(frozen=True)
class Search:
    """Which of the caller's crons, in which order. An empty condition is none."""

    assistant_id: str | None = None
    thread_id: str | None = None
    enabled: bool | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sort_by: SortKey = "created_at"
    descending: bool = True
    limit: int = 10
    offset: int = 0


CONDITION = f"""
    {OWNED} AND metadata @> %(metadata)s
    AND (%(assistant_id)s::text IS NULL OR assistant_id = %(assistant_id)s)
    AND (%(thread_id)s::text IS NULL OR thread_id = %(thread_id)s)
    AND (%(enabled)s::boolean IS NULL OR enabled = %(enabled)s)
"""


async def search(connection: Connection, caller: Caller, wanted: Search) -> list[Cron]:
    query = SQL("SELECT {columns} FROM crons WHERE {condition} ORDER BY {sort} {order}, cron_id LIMIT %(limit)s OFFSET %(offset)s").format(
        columns=SQL(COLUMNS),
        condition=SQL(CONDITION),
        sort=Identifier(wanted.sort_by),
        order=SQL("DESC NULLS LAST" if wanted.descending else "ASC"),
    )  # fmt: skip
    return [_cron(row) for row in await (await connection.execute(query, _asked(caller, wanted))).fetchall()]


async def count(connection: Connection, caller: Caller, wanted: Search) -> int:
    query = SQL("SELECT count(*) AS found FROM crons WHERE {}").format(SQL(CONDITION))
    return cast("DictRow", await (await connection.execute(query, _asked(caller, wanted))).fetchone())["found"]


def _asked(caller: Caller, wanted: Search) -> dict[str, Any]:
    return {**vars(wanted), **caller.owns, "metadata": Jsonb(wanted.metadata)}


@dataclass(frozen=True)
class Due:
    """A cron whose time has come, and how often this firing was tried before."""

    cron_id: UUID
    attempts: int


async def take_due(connection: Connection) -> Due | None:
    """The one that has been due for longest, locked until the transaction ends; those locked elsewhere are passed by.

    No more of it than that: a row that cannot be read must not keep the others from their turn.
    """
    query = """
        SELECT cron_id, attempts FROM crons WHERE enabled AND next_run_at IS NOT NULL AND attempt_at <= now()
        ORDER BY attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED
    """
    row = await (await connection.execute(query)).fetchone()
    return Due(**row) if row else None


async def get_due(connection: Connection, due: Due) -> Cron:
    query = f"SELECT {COLUMNS} FROM crons WHERE cron_id = %s"  # noqa: S608  a constant
    return _cron(cast("DictRow", await (await connection.execute(query.encode(), (due.cron_id,))).fetchone()))


async def move_on(
    connection: Connection, cron_id: UUID, next_run_at: datetime | None, problem: Mapping[str, str] | None
) -> None:
    """This firing is done with: it has its run, or a reason to have none."""
    query = """
        UPDATE crons SET next_run_at = %(next)s, attempt_at = %(next)s, attempts = 0, problem = %(problem)s
        WHERE cron_id = %(cron_id)s
    """
    values = {"next": next_run_at, "problem": Jsonb(problem) if problem else None, "cron_id": cron_id}
    await connection.execute(query, values)


async def try_again(connection: Connection, cron_id: UUID, attempt_at: datetime, problem: Mapping[str, str]) -> None:
    """The same firing, later."""
    query = "UPDATE crons SET attempt_at = %s, attempts = attempts + 1, problem = %s WHERE cron_id = %s"
    await connection.execute(query, (attempt_at, Jsonb(problem), cron_id))
