"""The audit tables: rows are only ever added; deleting a subject leaves its rows without a person."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import orjson
from psycopg import AsyncConnection, Connection
from psycopg.rows import DictRow

from app.security.audit_chain import Entry, Head, Row
from app.security.caller import OWNED, Caller

MOST_ANCHORED = 100
FETCH = 1000

# The newest chains, each by its last row: one step through the primary key for each.
HEADS = """
    WITH RECURSIVE newest AS (
        (SELECT chain, number, hash FROM audit_log ORDER BY chain DESC, number DESC LIMIT 1)
        UNION ALL
        SELECT older.* FROM newest, LATERAL (
            SELECT chain, number, hash FROM audit_log WHERE audit_log.chain < newest.chain
            ORDER BY chain DESC, number DESC LIMIT 1
        ) AS older
    )
    SELECT chain, number, hash FROM newest LIMIT %s
"""


@dataclass(frozen=True)
class Subject:
    """Who a user is in the audit log."""

    subject: UUID
    salt: bytes


async def append(connection: AsyncConnection[DictRow], rows: Sequence[Row]) -> None:
    query = "INSERT INTO audit_log SELECT * FROM jsonb_populate_recordset(NULL::audit_log, %s::jsonb)"
    await connection.execute(query, (orjson.dumps([_columns(row) for row in rows]).decode(),))


def _columns(row: Row) -> dict[str, Any]:
    entry = {name: getattr(row.entry, name) for name in Entry.__dataclass_fields__}
    return entry | {"chain": row.head.chain, "number": row.head.number, "hash": f"\\x{row.head.hash.hex()}"}


async def heads(connection: AsyncConnection[DictRow]) -> list[Head]:
    """Where the newest chains end."""
    cursor = await connection.execute(HEADS, (MOST_ANCHORED,))
    return [Head(row["chain"], row["number"], bytes(row["hash"])) for row in await cursor.fetchall()]


async def subject(connection: AsyncConnection[DictRow], caller: Caller, new: Subject) -> Subject:
    """The caller's, or `new` from now on."""
    query = """
        INSERT INTO audit_subjects (tenant, owner, subject, salt)
        VALUES (%(tenant)s, %(owner)s, %(subject)s, %(salt)s)
        ON CONFLICT (tenant, owner) DO UPDATE SET owner = excluded.owner
        RETURNING subject, salt
    """
    values = {"subject": new.subject, "salt": new.salt, **caller.owns}
    row = cast("DictRow", await (await connection.execute(query, values)).fetchone())
    return Subject(row["subject"], bytes(row["salt"]))


async def known_subject(connection: AsyncConnection[DictRow], caller: Caller) -> UUID | None:
    query = f"SELECT subject FROM audit_subjects WHERE {OWNED}"  # noqa: S608  a constant
    row = await (await connection.execute(query, caller.owns)).fetchone()
    return row["subject"] if row else None


def every_row(connection: Connection[DictRow]) -> Generator[Row]:
    """By chain and number, without holding them all."""
    with connection.transaction(), connection.cursor("audit") as cursor:
        cursor.itersize = FETCH
        for row in cursor.execute("SELECT * FROM audit_log ORDER BY chain, number"):
            entry = Entry(**{name: row[name] for name in Entry.__dataclass_fields__})
            yield Row(Head(row["chain"], row["number"], bytes(row["hash"])), entry)


def hash_of(connection: Connection[DictRow], chain: str, number: int) -> bytes | None:
    query = "SELECT hash FROM audit_log WHERE chain = %s AND number = %s"
    row = connection.execute(query, (chain, number)).fetchone()
    return bytes(row["hash"]) if row else None
