"""Where the database is: what to connect with, and the laptop's own when no other is configured."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from app.runtime.embedded_postgres import embedded_database
from app.settings import Settings

# Found dead within 15 s of a failover, instead of the kernel's two hours (tcp_keepalive_time=7200).
KEEPALIVE = {"keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 2}
CONNECTION = {"connect_timeout": 5, "tcp_user_timeout": 15_000, "application_name": "langgraph-agent", **KEEPALIVE}


def connection_string(settings: Settings, *, direct: bool = False) -> Callable[[], str]:
    """Called at every connection, so that a rotated password file is followed without a restart.

    `direct` goes past a pooler: LISTEN belongs to a session, which a transaction-mode pooler does not give.
    """
    chosen = (settings.database_direct_url if direct else None) or settings.database_url
    if chosen is None:
        raise ValueError("settings.database_url is not set")
    url = chosen.get_secret_value()
    password_file = settings.database_password_file

    def current() -> str:
        if password_file is None:
            return make_conninfo(url, **CONNECTION)
        return make_conninfo(url, password=password_file.read_text().strip(), **CONNECTION)

    return current


@contextmanager
def with_database(settings: Settings) -> Generator[Settings]:
    """The settings with the embedded PostgreSQL, where no other is configured."""
    if settings.database_url is not None:
        yield settings
        return
    with embedded_database(settings.data_directory) as url:
        yield settings.model_copy(update={"database_url": SecretStr(url)})
