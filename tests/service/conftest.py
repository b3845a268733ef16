"""A real PostgreSQL for each test process, a database for each test, the application in process."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
import psycopg
import pytest
from langgraph_sdk import get_client, get_sync_client
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr

from app.api.application import create_app
from app.contract import OTHER_NAMES
from app.runtime.embedded_postgres import embedded_database, stop
from app.settings import PREFIX, Settings
from tests.service.application import STEPWISE, OpenClient
from tests.service.processes import Running, Services
from tests.service.sdk import CHAT_ORIGIN, CONVERSATION, Sdk, as_async, served


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("service")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX) or name in OTHER_NAMES]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def open_folder() -> Generator[Path]:
    """A folder that stays readable for PostgreSQL.

    As root PostgreSQL runs as a user of its own, and every pytest that starts closes /tmp/pytest-of-root to all others.
    """
    with TemporaryDirectory(prefix="agent-test-") as folder:
        yield Path(folder)


@pytest.fixture
def folder() -> Generator[Path]:
    with open_folder() as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres_url() -> Generator[str]:
    with open_folder() as opened, embedded_database(opened / "data") as url:
        yield url


@contextmanager
def fresh_database(postgres_url: str) -> Generator[str]:
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        yield make_conninfo(postgres_url, dbname=name)
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def database_url(postgres_url: str) -> Generator[str]:
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def conversation_url(postgres_url: str) -> Generator[str]:
    """Where the conversation project is served, once for all tests of clients: each has threads of its own."""
    with fresh_database(postgres_url) as url:
        settings = Settings(database_url=SecretStr(url), config=CONVERSATION, cors_origins=(CHAT_ORIGIN,))
        with served(settings) as address:
            yield address


@pytest.fixture(params=["async", "sync"])
async def sdk(conversation_url: str, request: pytest.FixtureRequest) -> AsyncGenerator[Sdk]:
    """Either client of langgraph-sdk."""
    if request.param == "async":
        async with get_client(url=conversation_url, api_key=None) as client:
            yield client
    else:
        with get_sync_client(url=conversation_url, api_key=None) as client:
            yield as_async(client)


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=SecretStr(database_url), pool_timeout_seconds=2)


@asynccontextmanager
async def opened_client(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    """A client to the application in this process."""
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service", timeout=30) as client,
    ):
        yield client


@pytest.fixture
def open_client(settings: Settings) -> OpenClient:
    """Opens the application with some settings changed, and a client to it."""

    def opened(**changes: object) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        return opened_client(settings.model_copy(update=changes))

    return opened


@pytest.fixture
async def client(open_client: OpenClient) -> AsyncGenerator[httpx.AsyncClient]:
    """The service with its own graph."""
    async with open_client() as opened:
        yield opened


@pytest.fixture
async def stepwise(open_client: OpenClient) -> AsyncGenerator[httpx.AsyncClient]:
    """The service with somebody else's project."""
    async with open_client(config=STEPWISE) as opened:
        yield opened


@pytest.fixture
def services(folder: Path) -> Generator[Services]:
    """Service processes with an embedded PostgreSQL of their own; none of them outlives the test."""
    started: list[Running] = []

    class Recorded(Services):
        def start(self, name: str = "service", **settings: object) -> Running:
            running = super().start(name, **settings)
            started.append(running)
            return running

    yield Recorded(folder)
    for running in started:
        running.process.kill()
        running.process.wait()
    stop(folder / "postgres")
