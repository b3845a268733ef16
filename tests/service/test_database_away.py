"""PostgreSQL stops under a running service and comes back."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from app.api.application import create_app
from app.runtime.embedded_postgres import embedded_database
from app.settings import Settings
from tests.service.waiting import eventually_async

pytestmark = pytest.mark.anyio

HELLO = {"messages": [{"role": "user", "content": "hello"}]}


async def test_an_outage_is_a_503_that_ends_by_itself(folder: Path) -> None:
    data = folder / "postgres"
    with embedded_database(data) as url:
        settings = Settings(database_url=SecretStr(url), pool_timeout_seconds=0.5)
    app = create_app(settings)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service", timeout=30)

    async def is_ready() -> bool:
        return (await client.get("/ready")).status_code == 200

    # Started while the database is away: it comes later, and goes, and comes again.
    async with client, app.router.lifespan_context(app):
        assert not await is_ready()
        for turn in range(2):
            with embedded_database(data):
                await eventually_async(is_ready)
                body = {"thread_id": f"t{turn}", "input": HELLO}
                assert (await client.post("/workflow/execute", json=body)).status_code == 200

            away = await client.get("/ready")
            assert away.status_code == 503
            assert away.json()["checks"]["process"]["ok"]
            assert "PostgreSQL" in away.json()["checks"]["database"]["reason"]
            assert (await client.get("/health")).status_code == 200
            for answer in (
                await client.post("/workflow/execute", json={"input": HELLO}),
                await client.get("/threads/t0/state"),
            ):
                assert answer.status_code == 503, answer.text
                assert answer.json()["error"]["code"] == "database_unavailable"
                assert int(answer.headers["retry-after"]) > 0
        with embedded_database(data):
            await eventually_async(is_ready)
            assert (await client.get("/threads/t0/state")).status_code == 200
