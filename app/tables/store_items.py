"""The store_items table: what a user's graphs and clients keep under a namespace and a key. What expired is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from app.security.caller import OWNED, Caller

Connection = AsyncConnection[DictRow]
Namespace = tuple[str, ...]

COMPARISONS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
LIVE = "(expires_at IS NULL OR expires_at > now())"
THE_ITEM = f"{OWNED} AND namespace = %(namespace)s AND key = %(key)s"


@dataclass(frozen=True)
class Stored:
    """An item. `score` is how near it is to the query of a search, 1 at most."""

    namespace: Namespace
    key: str
    value: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    score: float | None


@dataclass(frozen=True)
class Search:
    """Items under a namespace; with `near`, the most similar first. A filter's value is a value or {operator: value}."""

    prefix: Namespace
    filter: Mapping[str, Any]
    near: Sequence[float] | None
    limit: int
    offset: int
    refresh: bool


@dataclass(frozen=True)
class NamespaceCondition:
    """How a namespace begins or ends; * stands for any label."""

    kind: Literal["prefix", "suffix"]
    path: Namespace


async def put(
    connection: Connection, caller: Caller, namespace: Namespace, key: str, value: Any, ttl_minutes: float | None
) -> None:
    query = """
        INSERT INTO store_items (tenant, owner, namespace, key, value, ttl_minutes, expires_at) VALUES (
            %(tenant)s, %(owner)s, %(namespace)s, %(key)s, %(value)s, %(ttl)s::float8, now() + make_interval(secs => %(ttl)s::float8 * 60)
        )
        ON CONFLICT (tenant, owner, namespace, key) DO UPDATE SET value = excluded.value, updated_at = now(),
            ttl_minutes = excluded.ttl_minutes, expires_at = excluded.expires_at,
            created_at = CASE WHEN store_items.expires_at <= now() THEN now() ELSE store_items.created_at END
    """
    await connection.execute(query, {**_address(caller, namespace, key), "value": Jsonb(value), "ttl": ttl_minutes})


async def put_vectors(
    connection: Connection, caller: Caller, namespace: Namespace, key: str, vectors: Mapping[str, Sequence[float]]
) -> None:
    """By field, in place of those that it has."""
    address = _address(caller, namespace, key)
    await connection.execute(f"DELETE FROM store_vectors WHERE {THE_ITEM}".encode(), address)  # noqa: S608  constants
    query = """
        INSERT INTO store_vectors (tenant, owner, namespace, key, field, embedding)
        VALUES (%(tenant)s, %(owner)s, %(namespace)s, %(key)s, %(field)s, %(vector)s::float8[]::vector)
    """
    for field, vector in vectors.items():
        await connection.execute(query, {**address, "field": field, "vector": list(vector)})


async def delete(connection: Connection, caller: Caller, namespace: Namespace, key: str) -> None:
    query = f"DELETE FROM store_items WHERE {THE_ITEM}"  # noqa: S608  constants
    await connection.execute(query.encode(), _address(caller, namespace, key))


async def get(
    connection: Connection, caller: Caller, namespace: Namespace, key: str, *, refresh: bool
) -> Stored | None:
    query = f"SELECT *, NULL::float8 AS score FROM store_items WHERE {THE_ITEM} AND {LIVE}"  # noqa: S608  constants
    found = await _read(connection, query, {**_address(caller, namespace, key), "refresh": refresh})
    return found[0] if found else None


async def search(connection: Connection, caller: Caller, wanted: Search) -> list[Stored]:
    """Raises ValueError for a filter that cannot be read."""
    clauses, values = _filter(wanted.filter)
    condition = " AND ".join((OWNED, LIVE, "namespace[1:cardinality(%(prefix)s::text[])] = %(prefix)s", *clauses))
    if wanted.near is None:
        query = f"SELECT *, NULL::float8 AS score FROM store_items WHERE {condition} ORDER BY updated_at DESC, namespace, key"  # noqa: S608  constants
    else:
        # Exact, over the user's own: an index over everybody's would return its nearest of all, and few of the user's.
        query = f"""
            SELECT store_items.*, best.score FROM store_items JOIN (
                SELECT tenant, owner, namespace, key, 1 - min(embedding <=> %(near)s::float8[]::vector) AS score
                FROM store_vectors WHERE {OWNED} GROUP BY tenant, owner, namespace, key
            ) AS best USING (tenant, owner, namespace, key)
            WHERE {condition} ORDER BY best.score DESC, namespace, key
        """  # noqa: S608  constants
    page = {"limit": wanted.limit, "offset": wanted.offset, "refresh": wanted.refresh}
    near = {"near": list(wanted.near)} if wanted.near is not None else {}
    values |= {"prefix": list(wanted.prefix), **page, **near, **caller.owns}
    return await _read(connection, f"{query} LIMIT %(limit)s OFFSET %(offset)s", values)


async def namespaces(
    connection: Connection,
    caller: Caller,
    conditions: Sequence[NamespaceCondition],
    max_depth: int | None,
    limit: int,
    offset: int,
) -> list[Namespace]:
    """Those that hold items, cut to the depth."""
    clauses = [OWNED, LIVE]
    values: dict[str, Any] = {"depth": max_depth, "limit": limit, "offset": offset, **caller.owns}
    for number, condition in enumerate(conditions):
        before = (
            "0" if condition.kind == "prefix" else f"cardinality(namespace) - cardinality(%(path{number})s::text[])"
        )
        values[f"path{number}"] = list(condition.path)
        clauses.append(f"""cardinality(namespace) >= cardinality(%(path{number})s::text[]) AND NOT EXISTS (
            SELECT FROM unnest(%(path{number})s::text[]) WITH ORDINALITY AS wanted (label, at)
            WHERE label NOT IN ('*', namespace[{before} + at])
        )""")
    query = f"""
        SELECT DISTINCT namespace[1:coalesce(%(depth)s::int, cardinality(namespace))] AS namespace FROM store_items
        WHERE {" AND ".join(clauses)} ORDER BY 1 LIMIT %(limit)s OFFSET %(offset)s
    """  # noqa: S608  constants
    return [tuple(row["namespace"]) for row in await (await connection.execute(query.encode(), values)).fetchall()]


async def delete_expired(connection: Connection, limit: int) -> int:
    query = """
        DELETE FROM store_items WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM store_items WHERE expires_at <= now() LIMIT %s FOR UPDATE SKIP LOCKED
        ))
    """
    return (await connection.execute(query, (limit,))).rowcount


async def _read(connection: Connection, query: str, values: Mapping[str, Any]) -> list[Stored]:
    """What the query finds; if asked to, its time to live begins again."""
    query = f"""
        WITH found AS ({query}), refreshed AS (
            UPDATE store_items SET expires_at = now() + make_interval(secs => store_items.ttl_minutes * 60) FROM found
            WHERE (store_items.tenant, store_items.owner, store_items.namespace, store_items.key)
                = (found.tenant, found.owner, found.namespace, found.key)
                AND store_items.ttl_minutes IS NOT NULL AND %(refresh)s
        )
        SELECT namespace, key, value, created_at, updated_at, score FROM found
    """  # noqa: S608  constants
    rows = await (await connection.execute(query.encode(), values)).fetchall()
    return [Stored(namespace=tuple(row.pop("namespace")), **row) for row in rows]


def _address(caller: Caller, namespace: Namespace, key: str) -> dict[str, Any]:
    return {"namespace": list(namespace), "key": key, **caller.owns}


def _filter(wanted: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Its conditions and their values. Numbers compare as numbers and text as text; others have no order."""
    clauses: list[str] = []
    values: dict[str, Any] = {}
    for field, asked in wanted.items():
        operators: dict[str, Any] = {"$eq": asked}
        if isinstance(asked, dict) and any(str(name).startswith("$") for name in cast("dict[str, Any]", asked)):
            operators = cast("dict[str, Any]", asked)
        for name, value in operators.items():
            number = len(clauses)
            values |= {f"field{number}": field, f"value{number}": Jsonb(value)}
            held, given = f"value -> %(field{number})s::text", f"%(value{number})s::jsonb"
            if name == "$eq":
                clauses.append(f"{held} = {given}")
            elif name == "$ne":
                clauses.append(f"{held} IS DISTINCT FROM {given}")
            elif name in COMPARISONS and isinstance(value, str | int | float):
                clauses.append(f"(jsonb_typeof({held}) = jsonb_typeof({given}) AND {held} {COMPARISONS[name]} {given})")
            else:
                raise ValueError(f"{field}: {name} is no operator for this. Use $eq, $ne, or $gt, $gte, $lt and $lte")
    return clauses, values
