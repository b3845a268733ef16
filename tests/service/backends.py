"""Real servers beside PostgreSQL: Redis (what Valkey is to a client) and PgBouncer, each started and ended here."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.service.waiting import eventually_sync
from tools.catalogue import Unavailable
from tools.obtain import obtain

WITHOUT = "TESTS_WITHOUT"
"""An environment variable: the tools, separated by spaces, whose tests may be skipped where they cannot be had."""

PORT = 6432  # names the socket file of PgBouncer; no TCP port is taken


@dataclass
class RedisServer:
    """A Redis on a port of its own, which can be killed and started again."""

    binary: Path
    folder: Path
    port: int
    arguments: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        kept_in_memory = ["--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        ports = [] if "--tls-port" in self.arguments else ["--port", str(self.port)]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary, *ports, "--bind", "127.0.0.1", *kept_in_memory, *self.arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually_sync(self._listens_or_ended)
        assert self.process.poll() is None, (self.folder / "redis.log").read_text()

    def kill(self) -> None:
        """As kill -9: nothing is said to anybody."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _listens_or_ended(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            return True
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@contextmanager
def redis_server(arguments: Sequence[str] = (), port: int | None = None) -> Generator[RedisServer]:
    binary = _binary("redis-server")
    with TemporaryDirectory(prefix="agent-redis-") as folder:
        server = RedisServer(binary, Path(folder), free_port() if port is None else port, arguments)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextmanager
def pgbouncer(database_url: str, pool_mode: str = "transaction", pool_size: int = 10) -> Generator[str]:
    """The connection string of the same database through a PgBouncer on a unix socket."""
    database = conninfo_to_dict(database_url)
    target = {key: str(database[key]) for key in ("host", "port", "dbname", "user", "password") if database.get(key)}
    with TemporaryDirectory(prefix="agent-pooler-") as name:
        folder = Path(name)
        user = user_who_reaches(target.get("host", ""))
        settings = {
            "pool_mode": pool_mode,
            "max_prepared_statements": 200,  # as infra/kubernetes/pooler.py has it
            "default_pool_size": pool_size,
            "max_client_conn": 1000,
            "server_login_retry": 1,  # after a refused login nobody is let through for so long: 15 s by default
            "auth_type": "any",  # whoever reaches the socket is let in, as the user of the database's line
            "listen_port": PORT,
            "unix_socket_dir": folder,
            "logfile": folder / "log",
            "pidfile": folder / "pid",
        }
        text = f"[databases]\n{target['dbname']} = {make_conninfo(**target)}\n[pgbouncer]\n"
        text += "".join(f"{key} = {value}\n" for key, value in settings.items())
        with running_pgbouncer(folder, text, PORT, user):
            yield make_conninfo(host=name, port=PORT, dbname=target["dbname"], user=target.get("user"))


@contextmanager
def running_pgbouncer(folder: Path, text: str, port: int, user: pwd.struct_passwd | None) -> Generator[None]:
    """A PgBouncer with this configuration, when it has made the socket file of its port in the folder."""
    binary = _binary("pgbouncer")
    (folder / "pgbouncer.ini").write_text(f"{text}user = {user.pw_name}\n" if user else text)
    if user:
        shutil.chown(folder, user.pw_uid)
    folder.chmod(0o755)
    process = subprocess.Popen([binary, "--quiet", folder / "pgbouncer.ini"], stderr=subprocess.PIPE)
    try:
        listening = folder / f".s.PGSQL.{port}"
        eventually_sync(lambda: listening.exists() or process.poll() is not None)
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        yield
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _binary(name: str) -> Path:
    try:
        return obtain(name).path
    except Unavailable as reason:
        if name in os.environ.get(WITHOUT, "").split():
            pytest.skip(f"{WITHOUT} allows it: {reason}")
        pytest.fail(
            f"{reason}. Install {name} (on Debian: apt-get install {name}), or set {WITHOUT}={name} to do without."
        )


def user_who_reaches(host: str) -> pwd.struct_passwd | None:
    """PgBouncer refuses to run as root; then it runs as the owner of PostgreSQL's socket, or as nobody."""
    if os.geteuid() != 0:
        return None
    return pwd.getpwuid(Path(host).stat().st_uid) if host.startswith("/") else pwd.getpwnam("nobody")
