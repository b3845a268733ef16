"""Webhooks from the run's request to a receiver that is a process of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.errors import UnprocessableEntityError
from psycopg.rows import DictRow
from pydantic import SecretStr

from app.runtime.webhook_delivery import ATTEMPT_SECONDS
from app.runtime.webhook_sender import PAUSES
from app.settings import Settings
from tests.service.conftest import fresh_database, open_folder
from tests.service.database import statement
from tests.service.sdk import CONVERSATION, Sdk, held, new_thread, served
from tests.service.waiting import eventually
from tests.service.webhook_receivers import receiver

pytestmark = pytest.mark.anyio

SECRET = bytes(range(32))
STEPS: dict[str, Any] = {"steps": []}
PROBLEMS = "SELECT problem FROM webhooks"


@dataclass(frozen=True)
class Sending:
    """A service that signs, and its database."""

    url: str
    database_url: str

    def rows(self, query: LiteralString, *values: object) -> list[DictRow]:
        return statement(self.database_url, query, *values)

    def waiting(self, run_id: str) -> DictRow | None:
        found = self.rows("SELECT * FROM webhooks WHERE run_id = %s", run_id)
        return found[0] if found else None

    def attempts(self, run_id: str) -> int:
        """That have failed so far."""
        row = self.waiting(run_id)
        return row["attempts"] if row and row["problem"] else 0

    def hurry(self, run_id: str) -> None:
        self.rows("UPDATE webhooks SET due_at = now() WHERE run_id = %s", run_id)


@pytest.fixture(scope="module")
def sending(postgres_url: str) -> Generator[Sending]:
    with open_folder() as folder, fresh_database(postgres_url) as url:
        secret_file = folder / "secret"
        secret_file.write_text("whsec_" + base64.b64encode(SECRET).decode())
        settings = Settings(database_url=SecretStr(url), config=CONVERSATION, webhook_secret_file=secret_file)
        with served(settings) as address:
            yield Sending(address, url)


@pytest.fixture
async def sdk(sending: Sending) -> AsyncGenerator[Sdk]:
    async with get_client(url=sending.url, api_key=None) as client:
        yield client


def verified(request: dict[str, Any]) -> dict[str, Any]:
    """The body, when the signature is right; as a receiver does it by the standard's text."""
    headers = {name.lower(): value for name, value in request["headers"].items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{request['body']}".encode()
    expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    body = json.loads(request["body"])
    assert headers["webhook-id"] == body["run_id"]
    return body


async def test_a_runs_end_is_told_once_with_its_values_and_a_signature(sending: Sending, sdk: Sdk) -> None:
    with receiver() as told:
        thread_id = await new_thread(sdk)
        run = await sdk.runs.create(thread_id, "steps", input=STEPS, metadata={"a": 1}, webhook=told.url)
        await eventually(told.received)
        await eventually(lambda: sending.waiting(run["run_id"]) is None)
        [request] = told.received()
    body = verified(request)
    assert request["path"] == "/runs"
    assert (body["thread_id"], body["status"], body["metadata"]) == (thread_id, "success", {"a": 1})
    assert body["values"] == (await sdk.threads.get_state(thread_id))["values"]
    assert body["run_started_at"] <= body["run_ended_at"] <= body["webhook_sent_at"]
    assert "error" not in body


async def test_a_waited_run_a_streamed_one_and_a_stateless_one_are_told_as_well(sdk: Sdk) -> None:
    with receiver() as told:
        asked: dict[str, Any] = {"input": STEPS, "webhook": told.url}
        await sdk.runs.wait(await new_thread(sdk), "steps", **asked)
        async for _ in sdk.runs.stream(await new_thread(sdk), "steps", **asked):
            pass
        await sdk.runs.wait(None, "steps", **asked)
        await eventually(lambda: len(told.received()) == 3)
        assert {verified(request)["status"] for request in told.received()} == {"success"}


async def test_how_a_run_ended_is_told_whatever_ended_it(sdk: Sdk, tmp_path: Path) -> None:
    with receiver() as told:
        asking = await sdk.runs.create(await new_thread(sdk), "survey", input={}, webhook=told.url)
        thread_id = await new_thread(sdk)
        first = await sdk.runs.create(thread_id, "steps", input=held(tmp_path))
        pending = await sdk.runs.create(thread_id, "steps", input=STEPS, webhook=told.url)
        await sdk.runs.cancel(thread_id, pending["run_id"])  # no worker ever had it
        await sdk.runs.cancel(thread_id, first["run_id"], wait=True)
        await eventually(lambda: len(told.received()) == 2)
        bodies = {body["run_id"]: body for body in map(verified, told.received())}
    assert bodies[asking["run_id"]]["status"] == "interrupted"
    assert bodies[asking["run_id"]]["values"]["__interrupt__"][0]["value"]
    assert (bodies[pending["run_id"]]["status"], bodies[pending["run_id"]]["values"]) == ("interrupted", None)


async def test_a_failure_is_tried_again_with_the_same_id_and_a_new_timestamp(sending: Sending, sdk: Sdk) -> None:
    with receiver(500, 302, 200) as told:
        run = await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS, webhook=told.url)
        for attempt in (1, 2):
            await eventually(lambda attempt=attempt: sending.attempts(run["run_id"]) == attempt)
            row = sending.waiting(run["run_id"])
            assert row
            assert row["due_at"] > row["created_at"]
            sending.hurry(run["run_id"])
        await eventually(lambda: sending.waiting(run["run_id"]) is None)
        requests = told.received()
    assert [request["status"] for request in requests] == [500, 302, 200]
    assert {request["path"] for request in requests} == {"/runs"}, "a redirect was followed"
    assert {verified(request)["run_id"] for request in requests} == {run["run_id"]}


@pytest.mark.parametrize(("status", "attempts"), [(410, 1), (404, len(PAUSES) + 1)])
async def test_what_never_succeeds_becomes_a_dead_letter(
    sending: Sending, sdk: Sdk, status: int, attempts: int
) -> None:
    with receiver(status) as told:
        run = await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS, webhook=told.url)
        await eventually(lambda: sending.attempts(run["run_id"]) == 1)
        if attempts > 1:  # as if the days before the last attempt had passed
            query = "UPDATE webhooks SET attempts = %s, problem = NULL, due_at = now() WHERE run_id = %s"
            sending.rows(query, attempts - 1, run["run_id"])
        await eventually(lambda: (sending.waiting(run["run_id"]) or {}).get("dead"))
        row = sending.waiting(run["run_id"])
    assert row
    assert (row["problem"], row["attempts"]) == (f"status {status}", attempts)


async def test_numbers_beyond_64_bits_are_told_as_they_are(sdk: Sdk) -> None:
    with receiver() as told:
        await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS, metadata={"x": 1e20}, webhook=told.url)
        await eventually(told.received)
        assert verified(told.received()[0])["metadata"] == {"x": 10**20}


async def test_an_attempt_that_fails_before_it_is_sent_counts_too(sending: Sending, sdk: Sdk) -> None:
    with receiver(500) as told:
        run = await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS, webhook=told.url)
        await eventually(lambda: sending.attempts(run["run_id"]) == 1)
        query = "UPDATE webhooks SET run = '{}', attempts = %s, problem = NULL, due_at = now() WHERE run_id = %s"
        sending.rows(query, len(PAUSES), run["run_id"])
        await eventually(lambda: (sending.waiting(run["run_id"]) or {}).get("dead"))
        assert (sending.waiting(run["run_id"]) or {})["problem"] == "KeyError"


async def test_a_receiver_that_is_away_gets_it_when_it_is_back(sending: Sending, sdk: Sdk) -> None:
    with receiver() as gone:
        pass
    run = await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS, webhook=gone.url)
    await eventually(lambda: sending.attempts(run["run_id"]) == 1)
    with receiver() as back:
        sending.rows("UPDATE webhooks SET url = %s WHERE run_id = %s", back.url.encode(), run["run_id"])
        sending.hurry(run["run_id"])
        await eventually(back.received)


async def test_receivers_that_hang_delay_nobody_elses_webhooks(sending: Sending) -> None:
    query = """
        INSERT INTO webhooks (run_id, thread_id, tenant, owner, url, run, due_at)
        SELECT gen_random_uuid(), 'none', 'acme', %s, %s, '{"status": "success", "error": null}', now() - %s::interval
        FROM generate_series(1, %s)
    """
    with receiver() as told, socket.create_server(("127.0.0.1", 0), backlog=128) as hanging:
        address = f"http://127.0.0.1:{hanging.getsockname()[1]}/".encode()
        for user in ("ann", "carl"):
            sending.rows(query, user, address, "1 h", 60)
        sending.rows(query, "bob", told.url.encode(), "1 min", 1)
        await eventually(told.received, ATTEMPT_SECONDS * 0.8)
        sending.rows("DELETE FROM webhooks")


async def test_a_name_that_leads_inside_is_called_by_no_service(sending: Sending, sdk: Sdk) -> None:
    # In a database, for on a laptop the request itself is refused only with an address in it.
    run = await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS, webhook="https://127.0.0.1:1/")
    await eventually(lambda: sending.attempts(run["run_id"]) == 1)
    sending.rows("UPDATE webhooks SET url = %s WHERE run_id = %s", b"https://0:1/", run["run_id"])  # to 0.0.0.0
    sending.hurry(run["run_id"])
    await eventually(lambda: (sending.waiting(run["run_id"]) or {})["problem"] == "RefusedAddress")


async def test_what_the_rules_no_longer_allow_is_never_sent(sending: Sending, sdk: Sdk) -> None:
    with receiver(500) as told:
        run = await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS, webhook=told.url)
        await eventually(lambda: sending.attempts(run["run_id"]) == 1)
        no_longer = told.url.replace("http://", "http://user@").encode()  # as if the rules had changed
        sending.rows("UPDATE webhooks SET url = %s WHERE run_id = %s", no_longer, run["run_id"])
        sending.hurry(run["run_id"])
        await eventually(lambda: (sending.waiting(run["run_id"]) or {}).get("dead"))
        assert len(told.received()) == 1
    assert (sending.waiting(run["run_id"]) or {})["problem"] == "invalid_input"


async def test_a_cron_tells_of_each_of_its_runs(sending: Sending, sdk: Sdk) -> None:
    with receiver() as told:
        made = await sdk.crons.create("steps", schedule="0 0 1 1 *", input=STEPS, webhook=told.url)
        sending.rows("UPDATE crons SET next_run_at = now(), attempt_at = now() WHERE cron_id = %s", made["cron_id"])
        await eventually(told.received)
        assert verified(told.received()[0])["metadata"]["cron_id"] == made["cron_id"]


async def test_deleting_a_thread_erases_what_was_to_be_told_of_it(sending: Sending, sdk: Sdk) -> None:
    with receiver(500) as told:
        thread_id = await new_thread(sdk)
        run = await sdk.runs.create(thread_id, "steps", input=STEPS, webhook=told.url)
        await eventually(lambda: sending.attempts(run["run_id"]) == 1)
        await sdk.threads.delete(thread_id)
        assert sending.waiting(run["run_id"]) is None


@pytest.mark.parametrize(
    "url", ["https://10.0.0.1/", "https://169.254.169.254/", "gopher://example.com/", "/own/route"]
)
async def test_an_address_inside_is_refused_with_the_request(sdk: Sdk, url: str) -> None:
    with pytest.raises(UnprocessableEntityError, match="webhook"):
        await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS, webhook=url)


@pytest.mark.parametrize("outside", [{"auth": "on"}, {"host": "0.0.0.0"}])  # noqa: S104  any but loopback
async def test_a_worker_that_is_on_no_laptop_does_not_call_its_own_machine(
    database_url: str, outside: dict[str, Any]
) -> None:
    settings = Settings(database_url=SecretStr(database_url), config=CONVERSATION)
    with (
        receiver() as told,
        served(settings.model_copy(update={"role": "api"})) as api,
        served(settings.model_copy(update={"role": "worker", **outside})),
    ):
        async with get_client(url=api, api_key=None) as client:
            sdk: Sdk = client
            await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS, webhook=told.url)
        await eventually(lambda: [row["problem"] for row in statement(database_url, PROBLEMS)] == ["invalid_input"])
        assert told.received() == []
