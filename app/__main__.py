"""python -m app serve | api | worker | database-init | migrate | keys | audit | stop-database | bench

Each command imports what it needs when it runs: the graphs' libraries take most of a second.
"""

from __future__ import annotations

import argparse
import gc
import sys

from app.arguments import parser
from app.failures import Exit, Refused, say


def main(arguments: list[str]) -> int:
    try:
        if arguments[:1] == ["bench"]:
            from app.bench.command import bench

            return bench(arguments[1:])
        given = parser().parse_args(arguments)
        return COMMANDS.get(given.command, _serve)(given)
    except Refused as refusal:
        say(f"refused: {refusal}")
        return refusal.code
    except KeyboardInterrupt:
        return 130


def _serve(given: argparse.Namespace) -> int:
    from app.serve_command import serve

    return serve(given)


def _database_init(given: argparse.Namespace) -> int:
    from app.database_init.command import database_init

    for line in database_init(given):
        say(line)
    return Exit.OK


def _migrate(_: argparse.Namespace) -> int:
    from app.migrate_command import migrate_database
    from app.settings import load_settings

    migrate_database(load_settings())
    say("the database has this version's schema")
    return Exit.OK


def _keys(given: argparse.Namespace) -> int:
    from app.runtime.connection import with_database
    from app.security.key_command import manage_keys
    from app.settings import load_settings

    with with_database(load_settings()) as settings:
        return manage_keys(given, settings)


def _audit(given: argparse.Namespace) -> int:
    from app.audit_command import audit
    from app.runtime.connection import with_database
    from app.settings import load_settings

    with with_database(load_settings()) as settings:
        return audit(given, settings)


def _stop_database(_: argparse.Namespace) -> int:
    from app.runtime.embedded_postgres import stop
    from app.settings import load_settings

    directory = load_settings().data_directory
    say(f"the embedded PostgreSQL in {directory} {'is stopped' if stop(directory) else 'was left as it is'}")
    return Exit.OK


COMMANDS = {
    "database-init": _database_init,
    "migrate": _migrate,
    "keys": _keys,
    "audit": _audit,
    "stop-database": _stop_database,
}
"""Any other serves."""


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # At its end the interpreter would collect everything that was imported: up to 0.6 s of CPU, for nothing.
    gc.freeze()
    sys.exit(code)
