"""Statements to the service's database, past the service."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
from psycopg.rows import DictRow, dict_row, scalar_row


def statement(database_url: str, query: LiteralString, *values: object) -> list[DictRow]:
    """Its rows, if it gives any."""
    with psycopg.Connection[DictRow].connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        cursor = connection.execute(query, values)
        return [] if cursor.description is None else cursor.fetchall()  # rows may have no columns


async def sessions_wait(connection: psycopg.AsyncConnection[Any], count: int) -> bool:
    """Whether so many sessions wait for a lock; asked outside of a transaction, which would keep its first answer."""
    query = """
        SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
    """
    cursor = connection.cursor(row_factory=scalar_row)
    return await (await cursor.execute(query)).fetchone() == count
