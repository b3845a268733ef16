"""Prepares the database for the store's vectors, once a project asks for them: not every PostgreSQL has pgvector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import DictRow, dict_row

from app.runtime.schema import UnusableSchema

Connection = AsyncConnection[DictRow]
LOCK = 0x76656374_6F727320  # "vectors ": two processes may start at once

# The owner's columns are in the key: erasing an item or its user takes the vectors along.
TABLE = """
    CREATE TABLE store_vectors (
        tenant    text   NOT NULL,
        owner     text   NOT NULL,
        namespace text[] NOT NULL,
        key       text   NOT NULL,
        field     text   NOT NULL,
        embedding vector({dimensions}) NOT NULL,
        PRIMARY KEY (tenant, owner, namespace, key, field),
        FOREIGN KEY (tenant, owner, namespace, key) REFERENCES store_items ON DELETE CASCADE
    )
"""


async def check_vectors(connection_string: Callable[[], str], dimensions: int) -> None:
    """Raises UnusableSchema for what no start can mend."""
    async with await _connect(connection_string) as connection:
        await _check(connection, dimensions)


async def prepare_vectors(connection_string: Callable[[], str], dimensions: int) -> None:
    """Makes what is missing, after the same check."""
    async with await _connect(connection_string) as connection, connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})".encode())
        await _check(connection, dimensions)
        try:
            if await _one(connection, "SELECT FROM pg_extension WHERE extname = 'vector'") is None:
                await connection.execute("CREATE EXTENSION vector")
            if await _dimensions(connection) is None:
                await connection.execute(TABLE.format(dimensions=dimensions).encode())
        except InsufficientPrivilege:
            raise UnusableSchema(
                "langgraph.json has store.index, and this database role may not prepare it:"
                " run CREATE EXTENSION vector as an administrator, and let the role create tables"
            ) from None


async def _check(connection: Connection, dimensions: int) -> None:
    if await _one(connection, "SELECT FROM pg_available_extensions WHERE name = 'vector'") is None:
        raise UnusableSchema(
            "langgraph.json has store.index, and this PostgreSQL server has no pgvector:"
            " install the extension on the server, or remove the key"
        )
    there = await _dimensions(connection)
    if there not in {None, dimensions}:
        raise UnusableSchema(
            f"langgraph.json has store.index.dims={dimensions}, and the stored vectors have {there}:"
            f" set {there}, or drop the table store_vectors and put the items again"
        )


async def _dimensions(connection: Connection) -> int | None:
    query = """
        SELECT atttypmod AS dimensions FROM pg_attribute
        WHERE attrelid = to_regclass('store_vectors') AND attname = 'embedding'
    """
    found = await _one(connection, query)
    return found["dimensions"] if found else None


async def _one(connection: Connection, query: str) -> dict[str, Any] | None:
    return await (await connection.execute(query.encode())).fetchone()


async def _connect(connection_string: Callable[[], str]) -> Connection:
    return await AsyncConnection[DictRow].connect(connection_string(), prepare_threshold=None, row_factory=dict_row)
