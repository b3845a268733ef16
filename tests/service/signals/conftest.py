"""What the tests of signals share."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from app.runtime import signals as signals_module
from app.runtime.valkey_connection import ValkeyConnection
from tests.service.backends import RedisServer, redis_server
from tests.service.signals.processes_with_signals import reached


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The event loop of uvicorn; the processes that tests start have asyncio's own."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def redis() -> Generator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(autouse=True)
def settled_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wake-ups that follow a start are over before a test looks."""
    monkeypatch.setattr(signals_module, "SETTLE_SECONDS", 0.05)


@pytest.fixture
def known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is trusted as soon as it is open, without the time in which NOTIFY is used too."""
    monkeypatch.setattr(signals_module, "BELIEVED_SECONDS", 0.0)


@pytest.fixture(params=["PostgreSQL", "Valkey"])
def valkey_or_none(request: pytest.FixtureRequest, known_at_once: None) -> ValkeyConnection | None:
    """The same test by either path alone."""
    return reached(request.getfixturevalue("redis")) if request.param == "Valkey" else None
