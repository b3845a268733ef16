"""Crons through the real langgraph-sdk: what they are, when they fire, and what becomes of a firing that cannot."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError
from psycopg.rows import DictRow
from pydantic import SecretStr

from app.runtime.schedules import next_time
from app.settings import Settings
from tests.service.conftest import fresh_database
from tests.service.database import statement
from tests.service.sdk import CONVERSATION, Sdk, held, new_thread, served
from tests.service.waiting import eventually

pytestmark = pytest.mark.anyio

HOURLY = "0 * * * *"
STEPS: dict[str, Any] = {"steps": []}


@dataclass(frozen=True)
class Clockwork:
    """A service, and its database, in which a cron's time can be made to come."""

    url: str
    database_url: str

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Sdk]:
        async with get_client(url=self.url, api_key=None) as sdk:
            yield sdk

    def rows(self, query: LiteralString, *values: object) -> list[DictRow]:
        return statement(self.database_url, query, *values)

    def make_due(self, cron_id: str, ago: str = "0 s") -> None:
        query = "UPDATE crons SET next_run_at = now() - %s::interval, attempt_at = now() WHERE cron_id = %s"
        self.rows(query, ago, cron_id)

    def runs(self, cron_id: str, status: str | None = None) -> list[DictRow]:
        query = """
            SELECT runs.*, threads.temporary FROM runs JOIN threads USING (thread_id)
            WHERE runs.metadata ->> 'cron_id' = %s AND (%s::text IS NULL OR runs.status = %s)
        """
        return self.rows(query, cron_id, status, status)

    def cron(self, cron_id: str) -> DictRow:
        return self.rows("SELECT * FROM crons WHERE cron_id = %s", cron_id)[0]


@pytest.fixture(scope="module")
def clockwork(postgres_url: str) -> Generator[Clockwork]:
    with fresh_database(postgres_url) as url:
        settings = Settings(database_url=SecretStr(url), config=CONVERSATION, queue_limit=50)
        with served(settings) as address:
            yield Clockwork(address, url)


@pytest.fixture
async def sdk(clockwork: Clockwork) -> AsyncGenerator[Sdk]:
    async with clockwork.client() as client:
        yield client


async def test_a_cron_comes_at_its_time_in_its_zone(sdk: Sdk) -> None:
    before = datetime.now(UTC)
    made = await sdk.crons.create("steps", schedule="30 9 * * *", timezone=ZoneInfo("America/New_York"))
    next_run = datetime.fromisoformat(made["next_run_date"])
    times = {next_time("30 9 * * *", "America/New_York", at) for at in (before, datetime.now(UTC))}
    assert next_run in times  # of two when 9:30 was just now
    assert next_run.astimezone(ZoneInfo("America/New_York")).strftime("%H:%M") == "09:30"


async def test_a_due_cron_gives_one_run_on_a_thread_of_its_own_and_moves_on(clockwork: Clockwork, sdk: Sdk) -> None:
    made = await sdk.crons.create("steps", schedule=HOURLY, input=STEPS, metadata={"team": "a"})
    clockwork.make_due(made["cron_id"])
    await eventually(lambda: clockwork.runs(made["cron_id"], "success"))
    [run] = clockwork.runs(made["cron_id"])
    assert run["temporary"]
    assert run["metadata"]["team"] == "a"
    next_run = clockwork.cron(made["cron_id"])["next_run_at"]
    assert datetime.now(UTC) < next_run <= datetime.now(UTC) + timedelta(hours=1)


async def test_threads_of_runs_are_kept_when_asked_for(clockwork: Clockwork, sdk: Sdk) -> None:
    made = await sdk.crons.create("steps", schedule=HOURLY, input=STEPS, on_run_completed="keep")
    clockwork.make_due(made["cron_id"])
    await eventually(lambda: clockwork.runs(made["cron_id"], "success"))
    [run] = clockwork.runs(made["cron_id"])
    assert not run["temporary"]
    assert (await sdk.threads.get(run["thread_id"]))["status"] == "idle"


async def test_a_threads_cron_goes_on_with_the_thread_and_goes_with_it(clockwork: Clockwork, sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    made = await sdk.crons.create_for_thread(thread_id, "steps", schedule=HOURLY, input=STEPS)
    for times in (1, 2):
        clockwork.make_due(made["cron_id"])
        await eventually(lambda times=times: len(clockwork.runs(made["cron_id"], "success")) == times)
    assert {run["thread_id"] for run in clockwork.runs(made["cron_id"])} == {thread_id}
    await sdk.threads.delete(thread_id)
    assert await sdk.crons.count(thread_id=thread_id) == 0


async def test_times_that_passed_while_nothing_ran_are_made_up_for_by_one_run(clockwork: Clockwork, sdk: Sdk) -> None:
    made = await sdk.crons.create("steps", schedule=HOURLY, input=STEPS)
    clockwork.make_due(made["cron_id"], ago="3 days")
    await eventually(lambda: clockwork.runs(made["cron_id"], "success"))
    assert clockwork.cron(made["cron_id"])["next_run_at"] > datetime.now(UTC)
    other = await sdk.crons.create("steps", schedule=HOURLY, input=STEPS)
    clockwork.make_due(other["cron_id"])
    await eventually(lambda: clockwork.runs(other["cron_id"]))  # so the first one was looked at again
    assert len(clockwork.runs(made["cron_id"])) == 1


async def test_a_time_that_had_its_run_has_no_second_one_whatever_is_changed(clockwork: Clockwork, sdk: Sdk) -> None:
    made = await sdk.crons.create("steps", schedule=HOURLY, input=STEPS)
    clockwork.make_due(made["cron_id"])
    due_at = clockwork.cron(made["cron_id"])["next_run_at"]
    await eventually(lambda: clockwork.runs(made["cron_id"]))
    again = "UPDATE crons SET next_run_at = %s, attempt_at = %s WHERE cron_id = %s"  # as a clock set back would
    clockwork.rows(again, due_at, due_at, made["cron_id"])
    await eventually(lambda: clockwork.cron(made["cron_id"])["next_run_at"] > due_at)
    assert len(clockwork.runs(made["cron_id"])) == 1


async def test_a_paused_cron_waits_and_begins_again_from_now(clockwork: Clockwork, sdk: Sdk) -> None:
    made = await sdk.crons.create("steps", schedule=HOURLY, input=STEPS, enabled=False)
    assert made["next_run_date"] is None
    clockwork.make_due(made["cron_id"], ago="1 day")
    other = await sdk.crons.create("steps", schedule=HOURLY, input=STEPS)
    clockwork.make_due(other["cron_id"])
    await eventually(lambda: clockwork.runs(other["cron_id"]))
    assert clockwork.runs(made["cron_id"]) == []
    changed = await sdk.crons.update(made["cron_id"], enabled=True)
    assert datetime.fromisoformat(changed["next_run_date"]) > datetime.now(UTC)


async def test_no_run_begins_after_the_end_time(sdk: Sdk) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    made = await sdk.crons.create("steps", schedule="0 0 1 1 *", end_time=soon)
    assert made["next_run_date"] is None
    unchanged = await sdk.crons.update(made["cron_id"], metadata={"a": 1})
    assert unchanged["end_time"] is not None
    endless = await sdk.crons.update(made["cron_id"], end_time=None)
    assert (endless["end_time"], endless["next_run_date"] is None) == (None, False)


async def test_a_change_is_what_the_next_run_does(clockwork: Clockwork, sdk: Sdk) -> None:
    made = await sdk.crons.create("steps", schedule=HOURLY, input=STEPS, interrupt_before="*", on_run_completed="keep")
    changed = await sdk.crons.update(
        made["cron_id"], input={"steps": ["own"]}, interrupt_before=[], schedule="5 5 * * *", timezone="Asia/Kolkata"
    )
    assert changed["payload"]["input"] == {"steps": ["own"]}
    assert datetime.fromisoformat(changed["next_run_date"]).strftime("%H:%M") == "23:35"
    clockwork.make_due(made["cron_id"])
    await eventually(lambda: clockwork.runs(made["cron_id"], "success"))
    [run] = clockwork.runs(made["cron_id"])
    assert (await sdk.threads.get_state(run["thread_id"]))["values"]["steps"][0] == "own"


async def test_a_firing_that_finds_the_queue_full_is_tried_again(
    clockwork: Clockwork, sdk: Sdk, tmp_path: Path
) -> None:
    made = await sdk.crons.create("steps", schedule="0 0 1 1 *", input=STEPS)
    thread_id = await new_thread(sdk)
    await sdk.runs.create(thread_id, "steps", input=held(tmp_path))
    await eventually((tmp_path / "reached").exists)
    for _ in range(50):
        await sdk.runs.create(thread_id, "steps", input=STEPS, multitask_strategy="enqueue")
    clockwork.make_due(made["cron_id"])
    await eventually(lambda: clockwork.cron(made["cron_id"])["problem"])
    [found] = [cron for cron in await sdk.crons.search(limit=1000) if cron["cron_id"] == made["cron_id"]]
    assert found["problem"]["error"] == "queue_full"
    (tmp_path / "release").touch()
    await eventually(lambda: clockwork.runs(made["cron_id"], "success"))
    assert clockwork.cron(made["cron_id"])["problem"] is None


async def test_a_cron_of_a_graph_that_is_gone_says_so_and_fires_when_it_is_back(clockwork: Clockwork, sdk: Sdk) -> None:
    made = await sdk.crons.create("steps", schedule="0 0 1 1 *", input=STEPS)
    assistant = "UPDATE crons SET assistant_id = %s WHERE cron_id = %s"
    clockwork.rows(assistant, "gone", made["cron_id"])
    clockwork.make_due(made["cron_id"])
    await eventually(lambda: "unknown_graph" in str(clockwork.cron(made["cron_id"])["problem"]))
    clockwork.rows(assistant, made["assistant_id"], made["cron_id"])
    await eventually(lambda: clockwork.runs(made["cron_id"], "success"))


async def test_a_cron_that_cannot_be_read_keeps_no_other_from_firing(clockwork: Clockwork, sdk: Sdk) -> None:
    broken = await sdk.crons.create("steps", schedule=HOURLY, input=STEPS)
    other = await sdk.crons.create("steps", schedule=HOURLY, input=STEPS)
    clockwork.rows("UPDATE crons SET end_time = '10000-01-01 12:00+00' WHERE cron_id = %s", broken["cron_id"])
    for cron in (broken, other):
        clockwork.make_due(cron["cron_id"])
    await eventually(lambda: clockwork.runs(other["cron_id"], "success"))
    [told] = clockwork.rows("SELECT problem, attempts FROM crons WHERE cron_id = %s", broken["cron_id"])
    assert told["problem"]["error"] == "internal"
    assert told["attempts"] >= 1
    await sdk.crons.delete(broken["cron_id"])


async def test_a_firing_is_skipped_when_the_thread_is_busy_and_the_cron_gives_way(
    clockwork: Clockwork, sdk: Sdk
) -> None:
    thread_id = await new_thread(sdk)
    await sdk.runs.create(thread_id, "steps", input=STEPS, after_seconds=3600)
    made = await sdk.crons.create_for_thread(thread_id, "steps", schedule=HOURLY, multitask_strategy="reject")
    clockwork.make_due(made["cron_id"])
    await eventually(lambda: clockwork.cron(made["cron_id"])["problem"])
    row = clockwork.cron(made["cron_id"])
    assert row["problem"]["error"] == "thread_busy"
    assert row["next_run_at"] > datetime.now(UTC)


async def test_crons_are_found_counted_sorted_and_shown_in_part(sdk: Sdk) -> None:
    mark = uuid4().hex
    for schedule in ("0 1 * * *", "0 2 * * *", "0 3 * * *"):
        await sdk.crons.create("talk", schedule=schedule, metadata={"mark": mark, "at": schedule})
    conditions: dict[str, Any] = {"assistant_id": "talk", "metadata": {"mark": mark}}
    assert await sdk.crons.count(**conditions) == 3
    found = await sdk.crons.search(**conditions, sort_by="created_at", sort_order="asc", limit=2, offset=1)
    assert [cron["schedule"] for cron in found] == ["0 2 * * *", "0 3 * * *"]
    [part] = await sdk.crons.search(metadata={"mark": mark, "at": "0 1 * * *"}, select=["cron_id", "schedule"])
    assert set(part) == {"cron_id", "schedule"}


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("schedule", "every day"),
        ("timezone", "Mars/Olympus"),
        ("end_time", datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-12)))),
        ("end_time", datetime(9999, 1, 1, tzinfo=UTC)),
        ("end_time", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=12)))),
        ("webhook", "ftp://hooks.example.com/"),
        ("webhook", "https://169.254.169.254/latest/meta-data"),
    ],
)
async def test_what_a_cron_cannot_be_is_refused(sdk: Sdk, field: str, wrong: Any) -> None:
    asked: dict[str, Any] = {"schedule": HOURLY, field: wrong}
    with pytest.raises(UnprocessableEntityError) as refused:
        await sdk.crons.create("steps", **asked)
    assert field in str(refused.value)


async def test_unknown_crons_threads_and_assistants_are_not_found(sdk: Sdk) -> None:
    with pytest.raises(NotFoundError):
        await sdk.crons.update(str(uuid4()), enabled=False)
    with pytest.raises(NotFoundError):
        await sdk.crons.delete(str(uuid4()))
    with pytest.raises(NotFoundError):
        await sdk.crons.create_for_thread("nowhere", "steps", schedule=HOURLY)
    with pytest.raises(NotFoundError):
        await sdk.crons.create("nothing", schedule=HOURLY)


async def test_the_service_says_that_it_has_crons(conversation_url: str) -> None:
    async with httpx.AsyncClient(base_url=conversation_url) as client:
        assert (await client.get("/info")).json()["flags"]["crons"] is True
