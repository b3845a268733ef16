"""python -m app keys create | list | revoke: API keys, straight in the service's database."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import cast

import orjson
from psycopg import AsyncConnection, OperationalError
from psycopg.rows import DictRow, dict_row

from app.failures import Exit, Refused
from app.runtime.connection import connection_string
from app.runtime.schema import NewerSchema, migrate
from app.security.api_keys import new_key
from app.security.caller import ALL_SCOPES, is_name
from app.settings import Settings
from app.tables import api_keys


def manage_keys(given: argparse.Namespace, settings: Settings) -> int:
    try:
        return asyncio.run(_manage(given, settings))
    except OperationalError as failure:
        raise Refused(
            f"the database cannot be reached ({type(failure).__name__}). Set AGENT_DATABASE_URL.", Exit.MISSING
        ) from None
    except NewerSchema as newer:
        raise Refused(f"{newer}.", Exit.STATE) from None


async def _manage(given: argparse.Namespace, settings: Settings) -> int:
    connect = connection_string(settings)
    await migrate(connect)
    async with await AsyncConnection[DictRow].connect(connect(), autocommit=True, row_factory=dict_row) as connection:
        if given.action == "create":
            return await _create(connection, given)
        if given.action == "list":
            return await _list(connection, given)
        if not await api_keys.revoke(connection, given.id):
            raise Refused(f"id={given.id!r}: no such key. List them with python -m app keys list.")
        sys.stderr.write(f"key {given.id} is revoked\n")
        return Exit.OK


async def _create(connection: AsyncConnection[DictRow], given: argparse.Namespace) -> int:
    scopes = {part.strip() for part in cast("str", given.scopes).split(",") if part.strip()}
    if not scopes or not scopes <= ALL_SCOPES:
        raise Refused(f"--scopes={given.scopes}: choose of {', '.join(sorted(ALL_SCOPES))}, separated by commas.")
    if not is_name(given.user) or (given.tenant and not is_name(given.tenant)):
        raise Refused("--user, --tenant: have to be 1 to 256 printable characters.")
    if given.days is not None and not 0 < given.days <= 36_500:
        raise Refused(f"--days={given.days:g}: has to be above 0 and at most 36500.")
    key_id, key, secret_hash = new_key()
    await api_keys.create(
        connection,
        key_id,
        secret_hash,
        tenant=given.tenant,
        owner=given.user,
        scopes=sorted(scopes),
        name=given.name,
        days=given.days,
    )
    sys.stderr.write(f"key {key_id}: send it as x-api-key or bearer token. It is not shown again:\n")
    sys.stdout.write(key + "\n")
    return Exit.OK


async def _list(connection: AsyncConnection[DictRow], given: argparse.Namespace) -> int:
    rows = await api_keys.listed(connection, given.tenant)
    if given.json:
        sys.stdout.write(orjson.dumps(rows).decode() + "\n")
        return Exit.OK
    for row in rows:
        whose = f"{row['tenant']}/{row['owner']}" if row["tenant"] else row["owner"]
        times = {name: row[f"{name}_at"] for name in ("expires", "revoked", "last_used") if row[f"{name}_at"]}
        told = ", ".join(f"{name.replace('_', ' ')} {time:%Y-%m-%d %H:%M}" for name, time in times.items())
        sys.stdout.write(f"{row['key_id']}  {whose}  {','.join(row['scopes'])}  {row['name']}  {told}\n")
    return Exit.OK
