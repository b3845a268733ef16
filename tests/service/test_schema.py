"""The schema on its way from nothing to now, with many processes at once, and to a version this code does not know."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from app.runtime.schema import Migration, NewerSchema, migrate, our_migrations
from app.settings import Settings
from tests.service.application import OpenClient
from tests.service.processes import Services

pytestmark = pytest.mark.anyio

NEXT = our_migrations()[-1].version + 1
EXPANDED = Migration(
    NEXT, "ALTER TABLE runs ADD COLUMN added text", compatible_from=our_migrations()[-1].compatible_from
)
CONTRACTED = Migration(NEXT, "ALTER TABLE runs DROP COLUMN strategy", compatible_from=NEXT)


async def test_many_first_starts_at_once_all_succeed(database_url: str) -> None:
    async with asyncio.timeout(60):
        await asyncio.gather(*(migrate(lambda: database_url) for _ in range(8)))
    with psycopg.connect(database_url) as connection:
        applied = connection.execute("SELECT version FROM agent_migrations ORDER BY version").fetchall()
    assert applied == [(migration.version,) for migration in our_migrations()]


async def test_a_second_start_changes_nothing(database_url: str) -> None:
    await migrate(lambda: database_url)
    with psycopg.connect(database_url) as connection:
        before = connection.execute("SELECT * FROM agent_migrations").fetchall()
    await migrate(lambda: database_url)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT * FROM agent_migrations").fetchall() == before


async def test_this_version_serves_on_the_next_ones_expanded_schema(database_url: str, open_client: OpenClient) -> None:
    await migrate(lambda: database_url, [*our_migrations(), EXPANDED])
    async with open_client() as client:
        assert (await client.get("/ready")).status_code == 200
        answer = await client.post(
            "/workflow/execute", json={"input": {"messages": [{"role": "user", "content": "Hi"}]}}
        )
    assert answer.status_code == 200


async def test_the_next_version_expands_the_schema_under_this_one(database_url: str, open_client: OpenClient) -> None:
    request = {"input": {"messages": [{"role": "user", "content": "Hi"}]}}
    async with open_client() as client:
        assert (await client.post("/workflow/execute", json=request)).status_code == 200
        await migrate(lambda: database_url, [*our_migrations(), EXPANDED])
        assert (await client.post("/workflow/execute", json=request)).status_code == 200


async def test_a_schema_that_needs_newer_code_is_refused_untouched(database_url: str) -> None:
    await migrate(lambda: database_url, [*our_migrations(), CONTRACTED])
    with pytest.raises(NewerSchema, match=f"version {NEXT}"):
        await migrate(lambda: database_url)


async def test_a_service_is_not_ready_on_a_schema_that_needs_newer_code(
    database_url: str, open_client: OpenClient
) -> None:
    await migrate(lambda: database_url, [*our_migrations(), CONTRACTED])
    async with open_client() as client:
        ready = await client.get("/ready")
    assert ready.status_code == 503
    assert "newer service" in ready.text


def test_the_command_refuses_a_schema_that_needs_newer_code_and_exits_with_4(
    database_url: str, services: Services
) -> None:
    asyncio.run(migrate(lambda: database_url, [*our_migrations(), CONTRACTED]))
    refused = services.command("serve", database_url=database_url)
    assert refused.returncode == 4
    assert "newer service" in refused.stderr


def test_a_migration_says_which_code_it_needs() -> None:
    assert all(1 <= migration.compatible_from <= migration.version for migration in our_migrations())


async def test_migrations_go_through_a_connection_with_another_default_schema(database_url: str) -> None:
    url = make_conninfo(database_url, options="-c search_path=agents")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA agents")
    await migrate(lambda: url)
    await migrate(lambda: url)
    assert Settings(database_url=SecretStr(url)).database_url
