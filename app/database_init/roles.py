"""The database's roles and what each may do. Every statement may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.sql import SQL, Identifier, Literal

APP, MIGRATE, READ_ONLY, MONITOR = "agent_app", "agent_migrate", "agent_ro", "agent_monitor"
ROLES = (APP, MIGRATE, READ_ONLY, MONITOR)
EXTENSIONS = ("pg_stat_statements", "pg_trgm", "vector")
LOCK = 0x6C616E67_696E6974  # "langinit"

# agent_migrate owns what it makes; the others get their rights on it from these defaults.
DEFAULTS: tuple[LiteralString, ...] = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO agent_app",
    "GRANT USAGE, SELECT ON SEQUENCES TO agent_app",
    "GRANT SELECT ON TABLES TO agent_ro",
    "GRANT SELECT ON SEQUENCES TO agent_ro",
)
RIGHTS: tuple[LiteralString, ...] = (
    "GRANT USAGE ON SCHEMA public TO agent_app, agent_ro, agent_monitor",
    "GRANT USAGE, CREATE ON SCHEMA public TO agent_migrate",
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    "GRANT pg_monitor TO agent_monitor",
    # Who makes a role may grant it, but since PostgreSQL 16 does not become it unasked; the defaults below are its own.
    "GRANT agent_migrate TO CURRENT_USER WITH INHERIT FALSE, SET TRUE",
)


def set_up(connection: Connection[Any], password_of: Callable[[str], str]) -> None:
    """Roles, rights and extensions, as an owner of the database who is no superuser. One process at a time."""
    database = Identifier(connection.info.dbname)
    with _alone(connection):
        for role in ROLES:
            _role(connection, role, password_of(role))
        with connection.transaction():
            for right in RIGHTS:
                connection.execute(right)
            connection.execute(SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
            everybody = SQL(", ").join(map(Identifier, ROLES))
            connection.execute(SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, everybody))
            connection.execute("SET LOCAL ROLE agent_migrate")
            for default in DEFAULTS:
                connection.execute(SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA public {}").format(SQL(default)))
        for extension in EXTENSIONS:
            connection.execute(SQL("CREATE EXTENSION IF NOT EXISTS {}").format(Identifier(extension)))


def _role(connection: Connection[Any], name: str, password: str) -> None:
    exists = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is not None
    # Hashed here: a server that logs its statements would log the password.
    verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    statement = SQL("{} ROLE {} LOGIN PASSWORD {}").format(
        SQL("ALTER" if exists else "CREATE"), Identifier(name), Literal(verifier)
    )
    connection.execute(statement)


@contextmanager
def _alone(connection: Connection[Any]) -> Generator[None]:
    connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))
