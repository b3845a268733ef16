"""Statements to the service's database, past the service."""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg.rows import DictRow, dict_row


def statement(database_url: str, query: LiteralString, *values: object) -> list[DictRow]:
    """Its rows, if it gives any."""
    with psycopg.Connection[DictRow].connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        cursor = connection.execute(query, values)
        return [] if cursor.description is None else cursor.fetchall()  # rows may have no columns
