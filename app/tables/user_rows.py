"""Everything that belongs to a user, wherever it lies: each table that has a tenant and an owner, and their children."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

from app.security.caller import OWNED, Caller

Connection = AsyncConnection[DictRow]

SECRET = {"secret_hash", "salt", "request_digest"}
"""Columns that are no data of the user's, and would be of use to a thief."""

FETCH = 200

OWNED_TABLES = """
    SELECT table_name AS name FROM information_schema.columns
    WHERE table_schema = current_schema() AND column_name IN ('tenant', 'owner')
    GROUP BY table_name HAVING count(*) = 2 ORDER BY table_name
"""
CHILDREN = """
    SELECT child.relname AS name, parent.relname AS parent, attribute.attname AS column
    FROM pg_constraint
        JOIN pg_class AS child ON child.oid = conrelid JOIN pg_class AS parent ON parent.oid = confrelid
        JOIN pg_attribute AS attribute ON attribute.attrelid = conrelid AND attribute.attnum = conkey[1]
    WHERE contype = 'f' AND child.relnamespace = current_schema()::regnamespace ORDER BY child.relname
"""


@dataclass(frozen=True)
class Place:
    """A table with rows of users; a child's are found by its parent's."""

    table: str
    parent: str | None = None
    column: str | None = None


async def places(connection: Connection) -> list[Place]:
    """As the database has them, so that a table somebody adds is neither forgotten in an export nor in an erasure."""
    owned = [row["name"] for row in await (await connection.execute(OWNED_TABLES)).fetchall()]
    children = await (await connection.execute(CHILDREN)).fetchall()
    return [Place(name) for name in owned] + [
        Place(row["name"], row["parent"], row["column"])
        for row in children
        if row["parent"] in owned and row["name"] not in owned
    ]


async def rows(connection: Connection, caller: Caller, place: Place) -> AsyncGenerator[dict[str, Any]]:
    """Those of the user, without secrets."""
    condition = SQL(OWNED)
    if place.parent and place.column:
        condition = SQL("{column} IN (SELECT {column} FROM {parent} WHERE {condition})").format(
            column=Identifier(place.column), parent=Identifier(place.parent), condition=condition
        )
    query = SQL("SELECT * FROM {table} WHERE {condition}").format(table=Identifier(place.table), condition=condition)
    async with connection.transaction(), connection.cursor("export") as cursor:
        cursor.itersize = FETCH
        await cursor.execute(query, caller.owns)
        async for row in cursor:
            yield {name: value for name, value in row.items() if name not in SECRET}


async def delete(connection: Connection, caller: Caller, place: Place) -> int:
    """How many; a child's rows go with its parent's."""
    query = SQL("DELETE FROM {table} WHERE {condition}").format(table=Identifier(place.table), condition=SQL(OWNED))
    return (await connection.execute(query, caller.owns)).rowcount


async def thread_ids(connection: Connection, caller: Caller) -> list[str]:
    """Of stateless runs too."""
    query = f"SELECT thread_id FROM threads WHERE {OWNED} ORDER BY thread_id"  # noqa: S608  a constant
    return [row["thread_id"] for row in await (await connection.execute(query.encode(), caller.owns)).fetchall()]
