"""python -m app serve | api | worker | database-init | migrate | keys | audit | stop-database | bench"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from psycopg import Error as PostgresError
from psycopg import OperationalError
from pydantic import SecretStr

from app import audit_command, contract
from app.database_init import command as database_init
from app.failures import Exit, Refused
from app.observability.logs import configure_logging
from app.observability.tracing import configure_tracing, stop_tracing
from app.runtime.database import connection_string
from app.runtime.embedded_postgres import embedded_database, stop
from app.runtime.schema import UnusableSchema, check_not_newer, migrate
from app.runtime.store_settings import read_store_settings
from app.runtime.store_vectors import check_vectors, prepare_vectors
from app.security import key_command
from app.server import serve, serve_together
from app.settings import Settings, load_settings

ROLES = {
    "serve": "serve the graphs of langgraph.json over HTTP, and execute their runs",
    "api": "accept runs and answer; workers apart execute them",
    "worker": "execute runs that others accepted",
}

EXAMPLE = """
  curl -s {url}/workflow/execute -H 'content-type: application/json' \\
    -d '{{"input": {{"messages": [{{"role": "user", "content": "How do I reset my password?"}}]}}}}'
"""


def main(arguments: list[str]) -> int:
    try:
        if arguments[:1] == ["bench"]:
            from app.bench.command import bench

            return bench(arguments[1:])
        given = _parser().parse_args(arguments)
        return COMMANDS.get(given.command, _serve)(given)
    except Refused as refusal:
        _say(f"refused: {refusal}")
        return refusal.code
    except KeyboardInterrupt:
        return 130


def _serve(given: argparse.Namespace) -> int:
    role = None if given.command == "serve" else given.command
    settings = load_settings(
        host=given.host,
        port=given.port,
        metrics_port=given.metrics_port,
        config=given.config,
        processes=given.processes,
        role=role,
    )
    configure_logging(settings.log_level)
    configure_tracing(os.environ.get(contract.OTEL_ENDPOINT))
    if given.ready_file:
        given.ready_file.unlink(missing_ok=True)
    with ExitStack() as stack:
        stack.callback(stop_tracing)
        own = f"embedded PostgreSQL in {settings.data_directory}"
        where = "the configured PostgreSQL" if settings.database_url else own
        settings = stack.enter_context(_with_database(settings))
        _refuse_unusable_database(settings)
        engine = ", then ".join((*settings.models, "the local engine (no language model)"))

        def announce(url: str) -> None:
            if given.listen_fd is None:  # a process of several: the first says it for all
                told = f"serving {url} · state in {where} · answers by {engine} · {settings.sign_in_told}"
                _say(f"{told}\n{EXAMPLE.format(url=url)}")

        if settings.processes > 1:
            return serve_together(settings, announce, given.ready_file)
        serve(settings, announce, given.ready_file, given.listen_fd)
    return Exit.OK


def _database_init(given: argparse.Namespace) -> int:
    for line in database_init.database_init(given):
        _say(line)
    return Exit.OK


def _migrate(_: argparse.Namespace) -> int:
    settings = load_settings()
    if settings.database_url is None:
        raise Refused(f"{contract.ENV_DATABASE_URL} is not set. A laptop's embedded PostgreSQL is migrated by serve.")
    try:
        asyncio.run(migrate(connection_string(settings, direct=True)))
        if index := read_store_settings(settings.config).index:
            asyncio.run(prepare_vectors(connection_string(settings, direct=True), index.dims))
    except UnusableSchema as unusable:
        raise Refused(f"{unusable}.", Exit.STATE) from None
    except PostgresError as failure:
        raise Refused(f"the migration failed: {str(failure).strip()}", Exit.FAILED) from None
    _say("the database has this version's schema")
    return Exit.OK


@contextmanager
def _with_database(settings: Settings) -> Generator[Settings]:
    """The settings with the embedded PostgreSQL, where no other is configured."""
    if settings.database_url is not None:
        yield settings
        return
    with embedded_database(settings.data_directory) as url:
        yield settings.model_copy(update={"database_url": SecretStr(url)})


def _keys(given: argparse.Namespace) -> int:
    with _with_database(load_settings()) as settings:
        return key_command.manage_keys(given, settings)


def _audit(given: argparse.Namespace) -> int:
    with _with_database(load_settings()) as settings:
        return audit_command.audit(given, settings)


def _stop_database(_: argparse.Namespace) -> int:
    settings = load_settings()
    stopped = stop(settings.data_directory)
    _say(f"the embedded PostgreSQL in {settings.data_directory} " + ("is stopped" if stopped else "was left as it is"))
    return Exit.OK


COMMANDS = {
    "database-init": _database_init,
    "migrate": _migrate,
    "keys": _keys,
    "audit": _audit,
    "stop-database": _stop_database,
}
"""Any other serves."""


def _refuse_unusable_database(settings: Settings) -> None:
    try:
        asyncio.run(check_not_newer(connection_string(settings)))
        if index := read_store_settings(settings.config).index:
            asyncio.run(check_vectors(connection_string(settings), index.dims))
    except UnusableSchema as unusable:
        raise Refused(f"{unusable}.", Exit.STATE) from None
    except OperationalError:
        # It may come later: the service starts and /ready says what it waits for.
        _say("the database does not answer yet; starting without it")


def _say(text: str) -> None:
    """For people, on stderr: stdout carries the JSON log."""
    sys.stderr.write(text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="The agent service. Settings: app/settings.py.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in ROLES.items():
        serving = commands.add_parser(name, help=what)
        serving.add_argument("--host", help="address to listen on (AGENT_HOST)")
        serving.add_argument("--port", type=int, help="port of the API, 0 for any free one (AGENT_PORT)")
        serving.add_argument(
            "--metrics-port", type=int, help="port of the metrics, 0 for the API's (AGENT_METRICS_PORT)"
        )
        serving.add_argument("--config", type=Path, help="path of a langgraph.json (AGENT_CONFIG)")
        serving.add_argument("--processes", type=int, help="processes behind the port (AGENT_PROCESSES)")
        serving.add_argument("--ready-file", type=Path, help="file to write {url, metrics_url} to once it listens")
        serving.add_argument("--listen-fd", type=int, help=argparse.SUPPRESS)
    database_init.add_arguments(commands.add_parser("database-init", help="make the service's roles in a new database"))
    commands.add_parser("migrate", help="bring the database to this version's schema")
    key_command.add_arguments(commands.add_parser("keys", help="make, list and revoke API keys"))
    audit_command.add_arguments(commands.add_parser("audit", help="verify the audit log"))
    commands.add_parser("stop-database", help="stop an embedded PostgreSQL that outlived its service")
    commands.add_parser("bench", help="measure this service beside others; its own --help has the options")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
