"""The command line of python -m app. Imports nothing that takes time: every command and every --help waits for it."""

from __future__ import annotations

import argparse
from pathlib import Path

ROLES = {
    "serve": "serve the graphs of langgraph.json over HTTP, and execute their runs",
    "api": "accept runs and answer; workers apart execute them",
    "worker": "execute runs that others accepted",
}


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="python -m app", description="The agent service. Settings: app/settings.py.")
    commands = whole.add_subparsers(dest="command", required=True)
    for name, what in ROLES.items():
        _add_serving(commands.add_parser(name, help=what))
    _add_database_init(commands.add_parser("database-init", help="make the service's roles in a new database"))
    commands.add_parser("migrate", help="bring the database to this version's schema")
    _add_keys(commands.add_parser("keys", help="make, list and revoke API keys"))
    _add_audit(commands.add_parser("audit", help="verify the audit log"))
    commands.add_parser("stop-database", help="stop an embedded PostgreSQL that outlived its service")
    commands.add_parser("bench", help="measure this service beside others; its own --help has the options")
    return whole


def _add_serving(serving: argparse.ArgumentParser) -> None:
    serving.add_argument("--host", help="address to listen on (AGENT_HOST)")
    serving.add_argument("--port", type=int, help="port of the API, 0 for any free one (AGENT_PORT)")
    serving.add_argument("--metrics-port", type=int, help="port of the metrics, 0 for the API's (AGENT_METRICS_PORT)")
    serving.add_argument("--config", type=Path, help="path of a langgraph.json (AGENT_CONFIG)")
    serving.add_argument("--processes", type=int, help="processes behind the port (AGENT_PROCESSES)")
    serving.add_argument("--ready-file", type=Path, help="file to write {url, metrics_url} to once it listens")
    # Of a process of several: the socket they share, and the process that started it.
    serving.add_argument("--listen-fd", type=int, help=argparse.SUPPRESS)
    serving.add_argument("--leader", type=int, help=argparse.SUPPRESS)


def _add_database_init(init: argparse.ArgumentParser) -> None:
    init.add_argument("--master", required=True, metavar="ARN", help="secret of the database's owner, as RDS keeps it")
    init.add_argument("--role", action="append", default=[], metavar="NAME=ARN", help="secret of each role")
    init.add_argument("--pooler", metavar="ARN", help="secret that PgBouncer reads its users from")


def _add_keys(keys: argparse.ArgumentParser) -> None:
    commands = keys.add_subparsers(dest="action", required=True)
    create = commands.add_parser("create", help="make a key and show it, once")
    create.add_argument("--user", required=True, help="whose threads and runs it works on")
    create.add_argument("--tenant", default="", help="the user's tenant, where AGENT_AUTH_TENANT_CLAIM is set")
    create.add_argument("--scopes", default="read,run", help="of read, run and admin, separated by commas")
    create.add_argument("--days", type=float, help="until it expires; never when left out")
    create.add_argument("--name", default="", help="what it is for")
    listing = commands.add_parser("list", help="all keys, newest first, without their secrets")
    listing.add_argument("--tenant", help="of one tenant")
    listing.add_argument("--json", action="store_true", help="for machines")
    revoke = commands.add_parser("revoke", help="refuse a key from now on; processes notice within 30 s")
    revoke.add_argument("id", help="the first part of a key, after lgk_")


def _add_audit(audit: argparse.ArgumentParser) -> None:
    commands = audit.add_subparsers(dest="action", required=True)
    checked = commands.add_parser("verify", help="read every row and follow every chain; 4 when one is broken")
    checked.add_argument(
        "--heads", type=Path, nargs="+", default=[], help="logs of the service: each head written there must be there"
    )
