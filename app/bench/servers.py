"""Starts each server as a process of its own on loopback, with a database of its own in one PostgreSQL."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from app.bench import cpu_limits
from app.bench.targets import GRAPH
from app.failures import Refused
from app.runtime.embedded_postgres import embedded_database
from app.settings import CHECKOUT, PREFIX

HOST = "127.0.0.1"
MOST_CONNECTIONS = b"400"  # all servers are open at once: aegra alone takes up to 50
STOP_SECONDS = 10.0
SECRET = secrets.token_hex(32)  # of tokens for servers that end with this process
TOKEN_SECONDS = 86_400
CLIENT = "192.0.2.1"  # an address of nobody (RFC 5737), for a client on this machine would not be limited


@dataclass(frozen=True)
class Recipe:
    """How a server starts; {names} are filled in. A peer needs the Python it is installed for."""

    command: str
    environment: Mapping[str, str]
    peer: str | None = None
    redis: bool = False
    signed_in: bool = False
    cores: float | None = None  # as many as there are


_SERVE = "-m app serve --port {port} --config {config}"
_TWO = f"{_SERVE} --processes 2 --metrics-port {{metrics_port}}"
LIMIT = 0.6  # of a core for each process: on two cores the second one of them, the database and the clients have room
_OURS = {"AGENT_DATABASE_URL": "{url}", "AGENT_LOG_LEVEL": "WARNING"}
# The limits are counted and never reached: what they cost is measured, not what they refuse.
_ENOUGH = "1000000"
_SIGNED_IN = _OURS | {
    "AGENT_AUTH": "on",
    "AGENT_AUTH_ISSUER": "bench",
    "AGENT_AUTH_AUDIENCE": "bench",
    "AGENT_AUTH_ALGORITHM": "HS256",
    "AGENT_AUTH_SECRET_FILE": "{secret}",
    "AGENT_AUTH_DEFAULT_SCOPES": "read,run",
    "AGENT_TRUSTED_PROXIES": "127.0.0.0/8",
    "AGENT_USER_RATE": "100000",
    "AGENT_USER_BURST": _ENOUGH,
    "AGENT_ADDRESS_RATE": "100000",
    "AGENT_ADDRESS_BURST": _ENOUGH,
    "AGENT_USER_RUNS": _ENOUGH,
    "AGENT_USER_STREAMS": _ENOUGH,
    "AGENT_USER_WAITS": _ENOUGH,
}
_VALKEY = {"AGENT_VALKEY_URL": "{redis}"}
_UVICORN = "-m uvicorn {app} --host 127.0.0.1 --port {port} --no-access-log --log-level warning"
_AEGRA = _UVICORN.replace("{app}", "aegra_api.main:app")
_OF_AEGRA = {"DATABASE_URL": "{url}", "AEGRA_CONFIG": "{config}", "LOG_LEVEL": "WARNING"}
_REDIS = {"REDIS_BROKER_ENABLED": "true", "REDIS_URL": "{redis}"}
# Ten jobs at once are langgraph-api's default; langhost's is one.
_LANGHOST = "-m langhost serve --port {port} --config {config} --n-jobs-per-worker 10 --server-log-level WARNING"

RECIPES = {
    "ours": Recipe(_SERVE, _OURS),
    "ours-signed-in": Recipe(_SERVE, _SIGNED_IN, signed_in=True),
    "ours-valkey": Recipe(_SERVE, _OURS | _VALKEY, redis=True),
    "ours-valkey-signed-in": Recipe(_SERVE, _SIGNED_IN | _VALKEY, redis=True, signed_in=True),
    "ours x2": Recipe(_TWO, _OURS),
    "ours limited": Recipe(_SERVE, _OURS, cores=LIMIT),
    "ours x2 limited": Recipe(_TWO, _OURS, cores=2 * LIMIT),
    "plain": Recipe(
        _UVICORN.replace("{app}", "app.bench.plain_handler:app --loop uvloop --http httptools"),
        {"DATABASE_URL": "{url}"},
    ),
    "aegra": Recipe(_AEGRA, _OF_AEGRA, "aegra"),
    "aegra-redis": Recipe(_AEGRA, {**_OF_AEGRA, **_REDIS}, "aegra", redis=True),
    "langhost": Recipe(_LANGHOST, {"DATABASE_URI": "{url}", "REDIS_URI": "{redis}"}, "langhost", redis=True),
}


@dataclass(frozen=True)
class Server:
    """Its process tree, where it listens, and where it stores."""

    name: str
    port: int
    process: psutil.Process
    url: str
    log: Path
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def pause(self) -> None:
        """While another is measured, even its idle looks at the database would be counted."""
        for process in self.tree():
            process.suspend()

    def go_on(self) -> None:
        for process in self.tree():
            process.resume()


@dataclass(frozen=True)
class Laboratory:
    """A PostgreSQL for the servers, and where peers come from."""

    folder: Path
    url: str
    postgres: psutil.Process
    peers: Mapping[str, str] = field(default_factory=dict[str, str])
    redis: str | None = None

    def lacks(self, name: str) -> str | None:
        recipe = RECIPES[name]
        if recipe.peer and recipe.peer not in self.peers:
            return f"not installed here (--peer {recipe.peer}=PYTHON)"
        if recipe.redis and not self.redis:
            return "no Redis here (--redis URL)"
        return cpu_limits.reason_without() if recipe.cores else None

    @contextmanager
    def server(self, name: str) -> Generator[Server]:
        """Started, not yet ready."""
        recipe, config, log = RECIPES[name], self.folder / "langgraph.json", self.folder / f"{name}.log"
        secret = self.folder / "secret"
        secret.write_text(SECRET)
        workload = Path(__file__).with_name("workload.py")
        config.write_text(json.dumps({"graphs": {GRAPH: f"{workload}:graph"}, "dependencies": ["."]}))
        filled = {
            "port": str(_free_port()),
            "metrics_port": str(_free_port()),  # the second process takes the next one, most likely free too
            "config": str(config),
            "url": self._database(name),
            "redis": self.redis or "",
            "secret": str(secret),
        }
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        python = self.peers[recipe.peer] if recipe.peer else sys.executable
        limit = cpu_limits.limited(recipe.cores) if recipe.cores else nullcontext()
        with limit as limited_processes, log.open("wb") as output:
            process = subprocess.Popen(
                [python, *(part.format(**filled) for part in recipe.command.split())],
                cwd=self.folder if recipe.peer else CHECKOUT,
                env=inherited | {key: value.format(**filled) for key, value in recipe.environment.items()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            started = psutil.Process(process.pid)
            server = Server(name, int(filled["port"]), started, filled["url"], log, _headers(recipe))
            try:
                if limited_processes:
                    limited_processes.write_text(str(process.pid))
                yield server
            finally:
                with suppress(psutil.NoSuchProcess):
                    server.go_on()
                    members = server.tree()
                    process.terminate()
                    for left in psutil.wait_procs(members, STOP_SECONDS)[1]:
                        left.kill()
                process.wait()

    def _database(self, server: str) -> str:
        """As a URL, which SQLAlchemy needs, with the socket's folder as `host`, which all drivers read."""
        name = f"bench {server}".replace(" ", "_").replace("-", "_")
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        known = conninfo_to_dict(self.url)
        return f"postgresql://{known['user']}@/{name}?host={known['host']}"


@contextmanager
def laboratory(folder: Path, peers: Mapping[str, str], redis: str | None) -> Generator[Laboratory]:
    known = {recipe.peer for recipe in RECIPES.values() if recipe.peer}
    for name, python in peers.items():
        if name not in known or not Path(python).is_file():
            raise Refused(f"--peer {name}={python}: has to be one of {', '.join(known)} and the Python it is for.")
    directory = folder / "postgres"
    with embedded_database(directory) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(b"ALTER SYSTEM SET max_connections = " + MOST_CONNECTIONS)
    with embedded_database(directory) as url:
        postmaster = int((directory / "postmaster.pid").read_text().split()[0])
        yield Laboratory(folder, url, psutil.Process(postmaster), peers, redis)


def _headers(recipe: Recipe) -> dict[str, str]:
    if not recipe.signed_in:
        return {}
    claims = {"iss": "bench", "aud": "bench", "sub": "bench", "exp": time.time() + TOKEN_SECONDS}
    token = jwt.encode(claims, SECRET, "HS256")
    return {"authorization": f"Bearer {token}", "x-forwarded-for": CLIENT}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
