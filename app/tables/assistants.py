"""The assistants and assistant_versions tables: what people made of a graph, each change a version that stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

import orjson
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from app.security.caller import OWNED, Caller

Connection = AsyncConnection[DictRow]
SortKey = Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"]

CONTENT = "graph_id, name, description, config, context, metadata"
COLUMNS = f"assistant_id, version, {CONTENT}, created_at, updated_at"


@dataclass(frozen=True)
class Content:
    """What a version holds."""

    graph_id: str
    name: str
    description: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    context: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Assistant:
    """A graph under a name with its settings, as clients see it."""

    assistant_id: UUID
    graph_id: str
    name: str
    description: str | None
    config: Mapping[str, Any]
    context: Mapping[str, Any]
    metadata: Mapping[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def content(self) -> Content:
        return Content(**{name: getattr(self, name) for name in Content.__dataclass_fields__})


@dataclass(frozen=True)
class AssistantSearch:
    """Which assistants, in which order. An empty condition is none; `name` may be a part of it."""

    graph_id: str | None = None
    name: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sort_by: SortKey | None = None
    descending: bool = False
    limit: int = 10
    offset: int = 0


def _assistant(row: Mapping[str, Any]) -> Assistant:
    return Assistant(**{name: row[name] for name in Assistant.__dataclass_fields__})


def _values(content: Content) -> dict[str, Any]:
    return {
        name: Jsonb(value) if isinstance(value, Mapping) else value
        for name in Content.__dataclass_fields__
        for value in [getattr(content, name)]
    }


async def _one(connection: Connection, query: str, values: Mapping[str, Any]) -> Assistant | None:
    row = await (await connection.execute(query.encode(), values)).fetchone()
    return _assistant(row) if row else None


async def create(connection: Connection, caller: Caller, assistant_id: UUID, content: Content) -> Assistant | None:
    """None when it exists, whoever has it."""
    query = f"""
        WITH made AS (
            INSERT INTO assistants (assistant_id, tenant, owner) VALUES (%(assistant_id)s, %(tenant)s, %(owner)s)
            ON CONFLICT DO NOTHING RETURNING assistant_id, version, created_at, updated_at
        ), first AS (
            INSERT INTO assistant_versions (assistant_id, version, {CONTENT})
            SELECT assistant_id, version, %(graph_id)s, %(name)s, %(description)s, %(config)s, %(context)s, %(metadata)s
            FROM made RETURNING assistant_id, {CONTENT}
        )
        SELECT {COLUMNS} FROM made JOIN first USING (assistant_id)
    """  # noqa: S608  constants
    return await _one(connection, query, {"assistant_id": assistant_id, **_values(content), **caller.owns})


async def get(connection: Connection, caller: Caller, assistant_id: UUID, *, lock: bool = False) -> Assistant | None:
    """As its present version has it; with `lock` for who changes it in the same transaction."""
    query = f"""
        SELECT {COLUMNS} FROM assistants JOIN assistant_versions USING (assistant_id, version)
        WHERE assistant_id = %(assistant_id)s AND {OWNED} {"FOR UPDATE OF assistants" if lock else ""}
    """  # noqa: S608  constants
    return await _one(connection, query, {"assistant_id": assistant_id, **caller.owns})


async def add_version(connection: Connection, assistant_id: UUID, content: Content) -> None:
    """The newest version, which becomes the present one, of an assistant that is locked."""
    query = f"""
        WITH added AS (
            INSERT INTO assistant_versions (assistant_id, version, {CONTENT})
            SELECT %(assistant_id)s, max(version) + 1,
                %(graph_id)s, %(name)s, %(description)s, %(config)s::jsonb, %(context)s::jsonb, %(metadata)s::jsonb
            FROM assistant_versions WHERE assistant_id = %(assistant_id)s
            RETURNING version
        )
        UPDATE assistants SET version = added.version, updated_at = now() FROM added
        WHERE assistant_id = %(assistant_id)s
    """  # noqa: S608  constants
    await connection.execute(query.encode(), {"assistant_id": assistant_id, **_values(content)})


async def set_version(connection: Connection, caller: Caller, assistant_id: UUID, version: int) -> bool:
    """False when there is no such version."""
    query = f"""
        UPDATE assistants SET version = %(version)s, updated_at = now()
        WHERE assistant_id = %(assistant_id)s AND {OWNED} AND EXISTS (
            SELECT FROM assistant_versions
            WHERE assistant_versions.assistant_id = %(assistant_id)s AND assistant_versions.version = %(version)s)
    """  # noqa: S608  constants
    values = {"assistant_id": assistant_id, "version": version, **caller.owns}
    return (await connection.execute(query.encode(), values)).rowcount > 0


async def versions(
    connection: Connection, caller: Caller, assistant_id: UUID, metadata: Mapping[str, Any], limit: int, offset: int
) -> list[dict[str, Any]]:
    """Newest first."""
    query = f"""
        SELECT assistant_id, version.version, {CONTENT}, made_at AS created_at
        FROM assistants JOIN assistant_versions AS version USING (assistant_id)
        WHERE assistant_id = %(assistant_id)s AND {OWNED} AND metadata @> %(metadata)s
        ORDER BY version.version DESC LIMIT %(limit)s OFFSET %(offset)s
    """  # noqa: S608  constants
    values = {"assistant_id": assistant_id, "metadata": Jsonb(metadata), "limit": limit, "offset": offset}
    return list(await (await connection.execute(query.encode(), {**values, **caller.owns})).fetchall())


async def delete(connection: Connection, caller: Caller, assistant_id: UUID) -> bool:
    query = f"DELETE FROM assistants WHERE assistant_id = %(assistant_id)s AND {OWNED}"  # noqa: S608  constants
    return (await connection.execute(query.encode(), {"assistant_id": assistant_id, **caller.owns})).rowcount > 0


# Everybody's are not in the table and come first, in the order of langgraph.json.
_FOUND = f"""
    FROM (
        SELECT position, {COLUMNS} FROM jsonb_to_recordset(%(system)s) AS system (
            position int, assistant_id uuid, version int, graph_id text, name text, description text,
            config jsonb, context jsonb, metadata jsonb, created_at timestamptz, updated_at timestamptz)
        UNION ALL
        SELECT NULL, {COLUMNS} FROM assistants JOIN assistant_versions USING (assistant_id, version) WHERE {OWNED}
    ) AS found
    WHERE (%(graph_id)s::text IS NULL OR graph_id = %(graph_id)s)
        AND (%(name)s::text IS NULL OR strpos(lower(name), lower(%(name)s)) > 0)
        AND metadata @> %(metadata)s::jsonb
"""  # noqa: S608  constants


async def search(
    connection: Connection, caller: Caller, system: Sequence[Assistant], wanted: AssistantSearch
) -> list[Assistant]:
    """Of those of the caller and those that everybody has."""
    order = SQL("{sort} {order} NULLS LAST, created_at DESC, assistant_id").format(
        sort=Identifier(wanted.sort_by or "position"), order=SQL("DESC" if wanted.descending else "ASC")
    )
    query = SQL("SELECT {} {} ORDER BY {} LIMIT %(limit)s OFFSET %(offset)s").format(SQL(COLUMNS), SQL(_FOUND), order)
    cursor = await connection.execute(query, _conditions(caller, system, wanted))
    return [_assistant(row) for row in await cursor.fetchall()]


async def count(connection: Connection, caller: Caller, system: Sequence[Assistant], wanted: AssistantSearch) -> int:
    query = SQL("SELECT count(*) AS found {}").format(SQL(_FOUND))
    cursor = await connection.execute(query, _conditions(caller, system, wanted))
    return cast("DictRow", await cursor.fetchone())["found"]


def _conditions(caller: Caller, system: Sequence[Assistant], wanted: AssistantSearch) -> dict[str, Any]:
    rows = [{"position": position, **asdict(assistant)} for position, assistant in enumerate(system)]
    return {
        "system": Jsonb(rows, dumps=orjson.dumps),
        "graph_id": wanted.graph_id,
        "name": wanted.name,
        "metadata": Jsonb(wanted.metadata),
        "limit": wanted.limit,
        "offset": wanted.offset,
        **caller.owns,
    }
