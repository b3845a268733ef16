"""The api_keys table: keys of programs, by the hash of their secret."""

from __future__ import annotations

from collections.abc import Collection

from psycopg import AsyncConnection
from psycopg.rows import DictRow

Connection = AsyncConnection[DictRow]


async def create(
    connection: Connection,
    key_id: str,
    secret_hash: bytes,
    *,
    tenant: str,
    owner: str,
    scopes: Collection[str],
    name: str,
    days: float | None,
) -> None:
    query = """
        INSERT INTO api_keys (key_id, secret_hash, tenant, owner, scopes, name, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, now() + make_interval(secs => %s))
    """
    seconds = None if days is None else days * 86_400
    await connection.execute(query, (key_id, secret_hash, tenant, owner, list(scopes), name, seconds))


async def find(connection: Connection, key_id: str) -> DictRow | None:
    """With `state`: usable, expired or revoked; and whether its use has to be noted."""
    query = """
        SELECT secret_hash, tenant, owner, scopes, extract(epoch FROM expires_at)::float AS expires_at,
            CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'usable' END
                AS state,
            last_used_at IS NULL OR last_used_at < now() - interval '1 minute' AS to_note
        FROM api_keys WHERE key_id = %s
    """
    return await (await connection.execute(query, (key_id,))).fetchone()


async def note_use(connection: Connection, key_id: str) -> None:
    await connection.execute("UPDATE api_keys SET last_used_at = now() WHERE key_id = %s", (key_id,))


async def listed(connection: Connection, tenant: str | None) -> list[DictRow]:
    """Newest first, of one tenant or of all; revoked ones too."""
    query = """
        SELECT key_id, tenant, owner, scopes, name, created_at, expires_at, revoked_at, last_used_at
        FROM api_keys WHERE %(tenant)s::text IS NULL OR tenant = %(tenant)s ORDER BY created_at DESC, key_id
    """
    return await (await connection.execute(query, {"tenant": tenant})).fetchall()


async def revoke(connection: Connection, key_id: str) -> bool:
    """False when there is no such key; one that was revoked before stays so."""
    query = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = %s"
    return (await connection.execute(query, (key_id,))).rowcount > 0
