"""Statements that calls share: what a caller sees of a failure or of being cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from psycopg import AsyncConnection, OperationalError

from app.runtime.grouping import Grouped
from app.settings import Settings
from tests.service.checkpointing import opened

pytestmark = pytest.mark.anyio


async def test_whoever_is_cancelled_goes_on_when_its_statement_has_taken_effect(settings: Settings) -> None:
    begun, stored = asyncio.Event(), asyncio.Event()
    effects: list[str] = []

    async def execute(_: object, requests: Any) -> list[None]:
        begun.set()
        await stored.wait()
        effects.extend(requests)
        return [None] * len(requests)

    async def store_and_look() -> list[str]:
        try:
            await call("checkpoint")
        except asyncio.CancelledError:
            return list(effects)
        raise AssertionError("it was not cancelled")

    async with opened(settings) as pool:
        call = Grouped[str, None](pool, execute)
        storing = asyncio.create_task(store_and_look())
        await begun.wait()
        storing.cancel()
        asyncio.get_running_loop().call_later(0.05, stored.set)
        assert await storing == ["checkpoint"]


@pytest.mark.parametrize(("repeats", "times"), [(True, 2), (False, 1)])
async def test_what_took_effect_unseen_is_repeated_only_where_that_does_no_harm(
    settings: Settings, repeats: bool, times: int
) -> None:
    executed: list[Sequence[str]] = []

    async def execute(connection: AsyncConnection[Any], requests: Sequence[str]) -> list[str]:
        executed.append(requests)
        if len(executed) == 1:
            await connection.close()
            raise OperationalError("the connection was lost")
        return ["done"] * len(requests)

    async with opened(settings) as pool:
        call = Grouped[str, str](pool, execute, repeats=repeats)
        answers = await asyncio.gather(call("a"), call("b"), return_exceptions=True)
    assert len(executed) == times
    assert [isinstance(answer, OperationalError) for answer in answers] == [not repeats] * 2


@pytest.mark.parametrize("repeats", [True, False])
async def test_what_one_call_did_wrong_fails_that_one_alone(settings: Settings, repeats: bool) -> None:
    async def execute(_: object, requests: Sequence[str]) -> list[str]:
        if "wrong" in requests:
            raise ValueError("wrong")
        return ["done"] * len(requests)

    async with opened(settings) as pool:
        call = Grouped[str, str](pool, execute, repeats=repeats)
        answers = await asyncio.gather(call("a"), call("wrong"), call("b"), return_exceptions=True)
    assert [answer if isinstance(answer, str) else type(answer) for answer in answers] == ["done", ValueError, "done"]
