"""The pooler's configuration, as the program renders it, in a real PgBouncer."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import certifi
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from infra.aws.database import NAME
from infra.kubernetes.pooler import configuration
from infra.settings.platform import Pooler
from tests.service.backends import free_port, running_pgbouncer, user_who_reaches

ROLE, PASSWORD = "pooled_app", "in the file of users"


@pytest.fixture
def pooled(database_url: str, folder: Path) -> Generator[dict[str, str | int]]:
    """Where the pooler of a database listens, with one user."""
    target, port = conninfo_to_dict(database_url), free_port()
    host = str(target["host"])
    text = configuration(Pooler(pool_size=2), host).replace(f"dbname={NAME}", f"dbname={target['dbname']}")
    # The last of two lines counts.
    here = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": folder,
        "auth_file": folder / "users.txt",
        "server_tls_ca_file": certifi.where(),  # read at the start; no TLS to a socket file
    }
    (folder / "users.txt").write_text(f'"{ROLE}" "{PASSWORD}"\n')  # as app/database_init writes it
    text = re.sub("port=5432", f"port={target.get('port') or 5432}", text)
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(ROLE)))
        try:
            lines = "".join(f"{key} = {value}\n" for key, value in here.items())
            with running_pgbouncer(folder, text + lines, port, user_who_reaches(host)):
                yield {"port": port, "folder": str(folder)}
        finally:
            owner.execute(SQL("DROP ROLE {}").format(Identifier(ROLE)))


def over_tcp(port: str | int, password: str) -> str:
    return make_conninfo(host="127.0.0.1", port=port, dbname=NAME, user=ROLE, password=password, sslmode="disable")


def test_clients_share_few_sessions_and_only_who_knows_the_password_comes_in(pooled: dict[str, str | int]) -> None:
    good = over_tcp(pooled["port"], PASSWORD)
    clients = [psycopg.connect(good, autocommit=True) for _ in range(5)]
    try:
        answers = [client.execute("SELECT current_user, pg_backend_pid()").fetchone() for client in clients * 2]
    finally:
        for client in clients:
            client.close()
    assert {row and row[0] for row in answers} == {ROLE}
    assert len({row and row[1] for row in answers}) <= 2
    with pytest.raises(psycopg.OperationalError, match="SASL authentication failed"):
        psycopg.connect(over_tcp(pooled["port"], "another"))


def test_prepared_statements_survive_that_every_transaction_may_have_another_session(
    pooled: dict[str, str | int],
) -> None:
    # More of them than a client keeps (psycopg's prepared_max is 100), and than PgBouncer keeps in a session.
    statements = [SQL("SELECT {}, %s::int").format(number) for number in range(250)]
    good = over_tcp(pooled["port"], PASSWORD)
    clients = [psycopg.connect(good, autocommit=True, prepare_threshold=0) for _ in range(3)]
    try:
        for turn, statement in enumerate(statements * 2):
            for client in clients:
                assert client.execute(statement, (turn,)).fetchone() == (turn % 250, turn)
        held = clients[0].execute("SELECT count(*) FROM pg_prepared_statements", prepare=False).fetchone()
    finally:
        for client in clients:
            client.close()
    assert held
    assert 0 < held[0] <= 200


def test_the_exporter_reads_the_pools_as_the_same_unix_user_and_nobody_else_does(
    pooled: dict[str, str | int],
) -> None:
    console = {"port": pooled["port"], "dbname": "pgbouncer", "user": "pgbouncer", "sslmode": "disable"}
    with as_user(Path(str(pooled["folder"])).stat().st_uid):
        connection = psycopg.connect(make_conninfo("", host=pooled["folder"], **console), autocommit=True)
    with connection, psycopg.ClientCursor(connection) as cursor:
        cursor.execute("SHOW POOLS")
        assert {"cl_active", "cl_waiting", "sv_active", "sv_idle", "maxwait"} <= {
            c.name for c in cursor.description or ()
        }
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(make_conninfo("", host="127.0.0.1", password=PASSWORD, **console))


@contextmanager
def as_user(number: int) -> Generator[None]:
    """Connects as this Unix user, where we may choose."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(pwd.getpwuid(number).pw_uid)
    try:
        yield
    finally:
        os.seteuid(before)
