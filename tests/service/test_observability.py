"""What logs and metrics say, and what they must never say."""

from __future__ import annotations

import signal
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.contract import OTEL_ENDPOINT
from tests.collector import Collector, listening_collector
from tests.service.application import STEPWISE, OpenClient
from tests.service.processes import Services
from tests.service.waiting import eventually_async, eventually_sync

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


def test_a_log_line_names_request_thread_route_and_status_and_no_word_of_a_user(
    services: Services, database_url: str
) -> None:
    service = services.start(log_level="DEBUG", database_url=database_url)
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


def test_a_failing_graph_logs_its_place_and_not_its_message(services: Services, database_url: str) -> None:
    service = services.start(config=STEPWISE, database_url=database_url)
    service.post("/workflow/execute", {"input": {"fail": True}})
    [failed] = [line for line in service.logged() if line["event"] == "a graph failed"]
    assert failed["error"] == "ValueError"
    assert any("stepwise.py" in frame for frame in failed["frames"])
    assert "words of a user" not in service.log.read_text()


@pytest.mark.anyio
async def test_a_run_tells_its_nodes_its_claim_its_length_and_the_pools_use(open_client: OpenClient) -> None:
    async with open_client(config=STEPWISE) as client:
        await client.post("/workflow/execute", json={"input": {"steps": []}})
        await client.post("/workflow/execute", json={"input": {"fail": True}})
        for node, times in (("first", 2), ("middle", 2), ("last", 1)):
            labels = {"graph": "stepwise", "node": node}
            assert await sample(client, "agent_node_duration_seconds_count", **labels) == times, node
        failed = {"graph": "stepwise", "node": "middle", "type": "ValueError"}
        assert await sample(client, "agent_node_errors_total", **failed) == 1
        assert await sample(client, "agent_run_duration_seconds_count", status="success") == 1
        assert await sample(client, "agent_run_duration_seconds_count", status="error") == 1
        assert await sample(client, "agent_pool_wait_seconds_count") > 2
        size, used = await sample(client, "agent_pool_connections"), await sample(client, "agent_pool_connections_used")
        assert size >= 1
        assert used <= size


@pytest.mark.anyio
async def test_a_stream_tells_its_first_event_and_when_it_is_over(open_client: OpenClient) -> None:
    async with open_client(config=STEPWISE) as client:
        body = {"assistant_id": "stepwise", "input": {"fail": False}, "stream_mode": ["updates"]}
        assert "event: updates" in (await client.post("/runs/stream", json=body)).text
        assert await sample(client, "agent_ttft_seconds_count") == 1
        assert await sample(client, "agent_events_written_total") >= 4  # metadata and three nodes
        assert await sample(client, "agent_streams_open") == 0


@pytest.mark.anyio
async def test_waiting_runs_are_counted_by_priority_until_they_start(open_client: OpenClient, folder: Path) -> None:
    release = folder / "release"
    async with open_client(config=STEPWISE, worker_slots=1) as client:

        async def submit(thread: str, priority: str) -> None:
            body = {"assistant_id": "stepwise", "input": {"release": str(release)}, "if_not_exists": "create"}
            accepted = await client.post(f"/threads/{thread}/runs", json={**body, "priority": priority})
            assert accepted.status_code == 200

        async def waiting(priority: str) -> float:
            return await sample(client, "agent_queue_depth", priority=priority)

        async def some_wait() -> bool:
            return (await waiting("high"), await waiting("low")) == (2, 1)

        async def none_wait() -> bool:
            return await waiting("high") == await waiting("low") == 0

        await submit("t-0", "normal")
        await eventually_async(lambda: active(client))
        for number, priority in enumerate(("high", "high", "low")):
            await submit(f"t-{number + 1}", priority)
        await eventually_async(some_wait)
        assert await waiting("normal") == 0
        assert await sample(client, "agent_queue_oldest_age_seconds", priority="low") > 0
        release.touch()
        await eventually_async(none_wait)
        assert await sample(client, "agent_queue_oldest_age_seconds", priority="low") == 0


async def active(client: httpx.AsyncClient) -> bool:
    return await sample(client, "agent_active_workflows") == 1


TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACED = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Generator[Collector]:
    """A collector that every service started meanwhile sends to, at once."""
    with listening_collector() as listening:
        monkeypatch.setenv(OTEL_ENDPOINT, listening.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield listening


def test_a_clients_trace_goes_through_the_api_and_the_queue_to_a_worker_and_its_nodes(
    services: Services, database_url: str, collector: Collector
) -> None:
    api = services.start("api", database_url=database_url, role="api")
    worker = services.start("worker", database_url=database_url, role="worker")
    body = {"thread_id": "t", "input": {"messages": [{"role": "user", "content": SECRET_WORDS}]}}
    httpx.post(api.url + "/workflow/execute", json=body, headers=TRACED, timeout=30).raise_for_status()
    for running in (api, worker):
        running.process.terminate()
        assert running.process.wait(30) == 0
    request, run = collector.one("POST /workflow/execute"), collector.one("run")
    assert request.trace_id.hex() == TRACE_ID
    assert run.parent_span_id == request.span_id
    nodes = [span for span in collector.spans() if span.name.startswith("node ")]
    assert {"node classify", "node answer"} <= {span.name for span in nodes}
    assert {span.parent_span_id for span in nodes} == {run.span_id}
    assert {span.trace_id.hex() for span in collector.spans()} == {TRACE_ID}
    assert not collector.holds("Umlaufbahn")
    [answered] = [line for line in api.logged() if line["event"] == "request" and line["route"] == "/workflow/execute"]
    [ran] = [line for line in worker.logged() if line["event"] == "run"]
    assert answered["trace_id"] == ran["trace_id"] == TRACE_ID


@pytest.mark.parametrize(
    ("end", "reason"), [(signal.SIGTERM, "handed_over"), (signal.SIGKILL, "lease_expired")], ids=["stopped", "killed"]
)
def test_a_run_that_another_process_takes_over_is_counted_and_linked_to_its_request(
    services: Services, database_url: str, collector: Collector, end: signal.Signals, reason: str
) -> None:
    reached, release = services.folder / "reached", services.folder / "release"
    given = {"reached": str(reached), "release": str(release)}
    body = {"assistant_id": "stepwise", "input": given, "if_not_exists": "create"}
    first = services.start("first", config=STEPWISE, database_url=database_url, drain_seconds=0)
    httpx.post(first.url + "/threads/t/runs", json=body, headers=TRACED, timeout=30).raise_for_status()
    eventually_sync(reached.exists)
    second = services.start("second", config=STEPWISE, database_url=database_url)
    first.process.send_signal(end)
    first.process.wait(30)

    def resumed() -> bool:
        return f'agent_run_resumed_total{{reason="{reason}"}} 1.0' in second.get("/metrics").text

    eventually_sync(resumed)
    release.touch()
    eventually_sync(lambda: second.get("/threads/t/state").json()["next"] == [])
    second.process.terminate()
    assert second.process.wait(30) == 0
    recovery = collector.spans("run")[-1]
    assert recovery.parent_span_id == b""
    assert recovery.trace_id.hex() != TRACE_ID
    [link] = recovery.links
    assert link.trace_id.hex() == TRACE_ID
    assert link.span_id == collector.one("POST /threads/{thread_id}/runs").span_id
    assert collector.spans("node middle")[-1].parent_span_id == recovery.span_id
