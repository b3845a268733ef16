"""What logs and metrics say, and what they must never say."""

from __future__ import annotations

import json

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.observability.logs import JsonFormatter
from tests.service.application import STEPWISE, OpenClient
from tests.service.processes import Services

SECRET_WORDS = "my dog is called Umlaufbahn"


async def sample(client: httpx.AsyncClient, name: str, **labels: str) -> float:
    families = text_string_to_metric_families((await client.get("/metrics")).text)
    found = [
        s.value for family in families for s in family.samples if s.name == name and labels.items() <= s.labels.items()
    ]
    return sum(found)


@pytest.mark.anyio
async def test_requests_and_runs_are_counted_by_class_code_and_end(open_client: OpenClient) -> None:
    async with open_client(config=STEPWISE) as client:
        assert await sample(client, "agent_runs_total", status="error") == 0
        await client.post("/workflow/execute", json={"thread_id": "t", "input": {"steps": []}})
        await client.post("/workflow/execute", json={"input": {"fail": True}})
        await client.post("/workflow/execute", json={"input": 5})
        await client.get("/threads/t/state")
        await client.get("/threads/nobody/state")
        interactive = {"route_class": "interactive"}
        assert await sample(client, "agent_runs_total", status="success") == 1
        assert await sample(client, "agent_runs_total", status="error") == 1
        assert await sample(client, "agent_http_requests_total", **interactive, code="200") == 1
        assert await sample(client, "agent_http_requests_total", **interactive, code="500") == 1
        assert await sample(client, "agent_http_requests_total", **interactive, code="422") == 1
        assert await sample(client, "agent_http_requests_total", route_class="threads", code="404") == 1
        assert await sample(client, "agent_http_request_duration_seconds_bucket", **interactive, le="2.0") == 3
        assert await sample(client, "agent_active_workflows") == 0


@pytest.mark.anyio
async def test_no_label_grows_with_what_clients_send(client: httpx.AsyncClient) -> None:
    await client.get("/threads/first/state")
    await client.get("/nowhere/first")
    await client.get("/metrics")
    before = len((await client.get("/metrics")).text.splitlines())
    for number in range(20):
        await client.get(f"/threads/other-{number}/state")
        await client.get(f"/nowhere/{number}")
    assert len((await client.get("/metrics")).text.splitlines()) <= before + 2


def test_a_log_line_names_request_thread_route_and_status_and_no_word_of_a_user(services: Services) -> None:
    service = services.start(log_level="DEBUG")
    messages = {"messages": [{"role": "user", "content": SECRET_WORDS}]}
    httpx.post(
        service.url + "/workflow/execute",
        json={"thread_id": "t-1", "input": messages},
        headers={"x-request-id": "trace-7"},
        timeout=30,
    )
    service.post("/workflow/execute", {"thread_id": "t-1", "input": {"messages": [{"role": SECRET_WORDS}]}})
    service.post("/workflow/execute", {"thread_id": SECRET_WORDS, "input": {}})
    service.get(f"/threads/{SECRET_WORDS}/state")
    service.process.terminate()
    assert service.process.wait(30) == 0
    lines = service.logged()
    [request] = [line for line in lines if line.get("request_id") == "trace-7" and line["event"] == "request"]
    assert (request["method"], request["route"], request["status"]) == ("POST", "/workflow/execute", 200)
    [run] = [line for line in lines if line.get("request_id") == "trace-7" and line["event"] == "run"]
    assert (run["thread_id"], run["graph"], run["status"]) == ("t-1", "support_triage", "success")
    assert run["duration_seconds"] <= request["duration_seconds"]
    assert "Umlaufbahn" not in service.log.read_text()
    assert "Umlaufbahn" not in (services.folder / "service.stderr").read_text()


def test_a_failing_graph_logs_its_place_and_not_its_message(services: Services) -> None:
    service = services.start(config=STEPWISE)
    service.post("/workflow/execute", {"input": {"fail": True}})
    [failed] = [line for line in service.logged() if line["event"] == "a graph failed"]
    assert failed["error"] == "ValueError"
    assert any("stepwise.py" in frame for frame in failed["frames"])
    assert "words of a user" not in service.log.read_text()


def test_a_foreign_librarys_arguments_stay_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    import logging

    logging.getLogger("some.library").warning("could not read %s", SECRET_WORDS)
    line = json.loads(JsonFormatter().format(caplog.records[-1]))
    assert line["event"] == "could not read %s"
