"""python -m app migrate: the schema of this version, by a role that may change it."""

from __future__ import annotations

import asyncio

from psycopg import Error as PostgresError

from app import contract
from app.failures import Exit, Refused
from app.runtime.connection import connection_string
from app.runtime.schema import UnusableSchema, migrate
from app.runtime.store_settings import read_store_settings
from app.runtime.store_vectors import prepare_vectors
from app.settings import Settings


def migrate_database(settings: Settings) -> None:
    if settings.database_url is None:
        raise Refused(f"{contract.ENV_DATABASE_URL} is not set. A laptop's embedded PostgreSQL is migrated by serve.")
    connect = connection_string(settings, direct=True)
    try:
        asyncio.run(migrate(connect))
        if index := read_store_settings(settings.config).index:
            asyncio.run(prepare_vectors(connect, index.dims))
    except UnusableSchema as unusable:
        raise Refused(f"{unusable}.", Exit.STATE) from None
    except PostgresError as failure:
        raise Refused(f"the migration failed: {str(failure).strip()}", Exit.FAILED) from None
