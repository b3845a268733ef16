"""The Jobs before a rollout, on a real PostgreSQL whose owner is no superuser, as on RDS."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, LiteralString

import botocore.session
import psycopg
import pytest
from moto import mock_aws
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import InsufficientPrivilege
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr

from app.__main__ import main
from app.database_init import command, roles
from app.runtime.embedded_postgres import embedded_database
from app.runtime.schema import migrate
from tests.service.application import OpenClient
from tests.service.conftest import open_folder

pytestmark = pytest.mark.anyio
OWNER = "agents_master"


@dataclass(frozen=True)
class Place:
    """A new database as RDS hands it over, and the empty secrets that Pulumi made for its roles."""

    url: str  # without a user
    superuser: str
    arns: dict[str, str]

    def as_role(self, role: str) -> str:
        return make_conninfo(self.url, user=role)

    def init(self) -> int:
        pairs = [part for role in roles.ROLES for part in ("--role", f"{role}={self.arns[role]}")]
        return main(["database-init", "--master", self.arns["master"], *pairs, "--pooler", self.arns["pooler"]])

    def secret(self, name: str) -> str:
        return client().get_secret_value(SecretId=self.arns[name])["SecretString"]

    def accepts(self, role: str, password: str) -> bool:
        """Whether the role's verifier is this password's (RFC 5802)."""
        with psycopg.connect(self.superuser) as connection:
            row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (role,)).fetchone()
        assert row
        _, iterations_and_salt, keys = row[0].split("$")
        iterations, salt = iterations_and_salt.split(":")
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
        stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
        return base64.b64decode(keys.split(":")[0]) == stored


def client() -> Any:
    return botocore.session.get_session().create_client("secretsmanager", region_name="us-east-1")


@pytest.fixture(scope="module")
def server() -> Generator[str]:
    """Of its own: roles belong to a whole server."""
    with open_folder() as opened, embedded_database(opened / "data") as url:
        yield url


@pytest.fixture
def place(server: str, monkeypatch: pytest.MonkeyPatch) -> Generator[Place]:
    with mock_aws(), psycopg.connect(server, autocommit=True) as admin:
        admin.execute(SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB").format(Identifier(OWNER)))
        admin.execute(SQL("CREATE DATABASE agents OWNER {}").format(Identifier(OWNER)))
        # What rds_superuser may do beside this: hand on pg_monitor, make an extension that is not trusted.
        admin.execute(SQL("GRANT pg_monitor TO {} WITH ADMIN OPTION").format(Identifier(OWNER)))
        superuser = make_conninfo(server, dbname="agents")
        with psycopg.connect(superuser) as inside:
            for extension in ("pg_stat_statements", "vector"):
                inside.execute(SQL("CREATE EXTENSION {}").format(Identifier(extension)))
        names = ("master", "pooler", *roles.ROLES)
        arns = {name: str(client().create_secret(Name=name)["ARN"]) for name in names}
        client().put_secret_value(
            SecretId=arns["master"], SecretString=json.dumps({"username": OWNER, "password": "rotated by RDS"})
        )
        host = conninfo_to_dict(server)
        url = make_conninfo("", host=str(host["host"]), port=str(host.get("port") or 5432), dbname="agents")
        monkeypatch.setenv("AGENT_DATABASE_URL", url)
        yield Place(url, superuser, arns)
        admin.execute("DROP DATABASE agents WITH (FORCE)")
        for role in (*reversed(roles.ROLES), OWNER):
            admin.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(role)))


async def test_after_both_jobs_the_service_serves_as_a_role_that_cannot_change_the_schema(
    place: Place, open_client: OpenClient
) -> None:
    assert place.init() == 0
    app = place.as_role(roles.APP)
    async with open_client(database_url=SecretStr(app)) as service:
        waiting = await service.get("/ready")
        assert waiting.status_code == 503
        assert "its migration has not run" in waiting.text
        await migrate(lambda: place.as_role(roles.MIGRATE))
    async with open_client(database_url=SecretStr(app)) as service:
        assert (await service.get("/ready")).status_code == 200
        question = {"input": {"messages": [{"role": "user", "content": "How do I reset my password?"}]}}
        assert (await service.post("/workflow/execute", json=question)).status_code == 200
    with psycopg.connect(app) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute("DROP TABLE runs")
    with psycopg.connect(app) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute("CREATE TABLE mine (id int)")


async def test_the_services_role_adds_to_the_audit_log_and_cannot_change_or_remove_what_is_there(place: Place) -> None:
    assert place.init() == 0
    await migrate(lambda: place.as_role(roles.MIGRATE))
    forbidden: tuple[LiteralString, ...] = (
        "UPDATE audit_log SET status = 1",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
    )
    with psycopg.connect(place.as_role(roles.APP), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO audit_log VALUES ('c', 1, now(), '', NULL, NULL, 'read', 'x', NULL, NULL, 200, '')"
        )
        for statement in forbidden:
            with pytest.raises(InsufficientPrivilege):
                connection.execute(statement)
        assert connection.execute("SELECT count(*) FROM audit_log").fetchone() == (1,)


async def test_who_reads_for_backups_sees_every_table_and_changes_none(place: Place) -> None:
    assert place.init() == 0
    await migrate(lambda: place.as_role(roles.MIGRATE))
    with psycopg.connect(place.as_role(roles.READ_ONLY)) as connection:
        tables = [
            row[0]
            for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        ]
        assert {"runs", "threads", "checkpoints"} <= set(tables)
        for table in tables:
            connection.execute(SQL("SELECT FROM {} LIMIT 1").format(Identifier(table)))
        with pytest.raises(InsufficientPrivilege):
            connection.execute("DELETE FROM runs")
    with psycopg.connect(place.as_role(roles.MONITOR)) as connection:
        connection.execute("SELECT count(*) FROM pg_stat_activity")
        with pytest.raises(InsufficientPrivilege):
            connection.execute("SELECT FROM runs")


def test_each_password_is_in_its_secret_only_and_a_second_run_keeps_it(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    assert place.init() == 0
    passwords = {role: place.secret(role) for role in roles.ROLES}
    assert len(set(passwords.values())) == len(roles.ROLES)
    assert all(place.accepts(role, password) for role, password in passwords.items())
    assert place.secret("pooler") == f'"agent_app" "{passwords["agent_app"]}"\n'
    assert place.init() == 0
    assert {role: place.secret(role) for role in roles.ROLES} == passwords
    assert all(place.accepts(role, password) for role, password in passwords.items())
    printed = "".join(capfd.readouterr())
    assert "agent_app: a new password is in its secret" in printed
    assert not [password for password in [*passwords.values(), "rotated by RDS"] if password in printed]


def test_two_at_once_agree(place: Place) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(place.init), pool.submit(place.init)]
    assert [one.result() for one in both] == [0, 0]
    assert all(place.accepts(role, place.secret(role)) for role in roles.ROLES)


def test_a_run_that_ended_half_way_is_finished_by_the_next(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def ends_at_the_second(connection: psycopg.Connection[Any], name: str, password: str) -> None:
        if made:
            raise psycopg.OperationalError("the node was taken")
        made.append(password)
        real(connection, name, password)

    real = roles._role  # pyright: ignore[reportPrivateUsage] - where it is to end
    monkeypatch.setattr(roles, "_role", ends_at_the_second)
    assert place.init() == 1
    monkeypatch.setattr(roles, "_role", real)
    assert place.init() == 0
    assert place.secret(roles.ROLES[0]) == made[0]
    assert all(place.accepts(role, place.secret(role)) for role in roles.ROLES)


def test_what_is_missing_is_said(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["database-init", "--master", place.arns["master"], "--role", "agent_app=arn"]) == 2
    assert "give NAME=ARN for each of agent_app, agent_migrate" in capfd.readouterr().err
    empty = str(client().create_secret(Name="not rotated yet")["ARN"])
    arns = [part for role in roles.ROLES for part in ("--role", f"{role}={place.arns[role]}")]
    assert main(["database-init", "--master", empty, *arns]) == 3
    assert "has no value yet" in capfd.readouterr().err
    del os.environ["AGENT_DATABASE_URL"]
    assert main(["migrate"]) == 2
    assert command.PASSWORD_BYTES >= 32


def test_the_migration_job_needs_no_right_but_its_own_and_may_run_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place.init() == 0
    monkeypatch.setenv("AGENT_DATABASE_URL", place.as_role(roles.MIGRATE))
    assert [main(["migrate"]), main(["migrate"])] == [0, 0]
    with psycopg.connect(place.superuser) as connection:
        owners = connection.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert owners == [(roles.MIGRATE,)]


def test_a_migration_that_fails_says_why_and_fails_the_job(
    place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert place.init() == 0
    monkeypatch.setenv("AGENT_DATABASE_URL", place.as_role(roles.READ_ONLY))
    assert main(["migrate"]) == 1
    assert "permission denied for schema public" in capfd.readouterr().err
