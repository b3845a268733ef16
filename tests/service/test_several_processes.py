"""One port, several processes: they share the work, are replaced when they die, and stop together."""

from __future__ import annotations

import signal
import socket
import time

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.supervisor import QUICK_DEATH_SECONDS
from tests.service.processes import Running, Services
from tests.service.waiting import eventually_sync

REQUEST = {"input": {"messages": [{"role": "user", "content": "How do I reset my password?"}]}}


def children(running: Running) -> list[psutil.Process]:
    found = psutil.Process(running.process.pid).children()
    return [child for child in found if child.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def metrics_port() -> int:
    """The first of three free ports in a row."""
    while True:
        with socket.socket() as first, socket.socket() as second, socket.socket() as third:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
                third.bind(("127.0.0.1", port + 2))
            except OSError:
                continue
            return port


def test_two_processes_answer_on_one_port_show_their_metrics_together_and_stop_at_a_signal_with_exit_code_0(
    services: Services, database_url: str, metrics_port: int
) -> None:
    running = services.start(database_url=database_url, processes=2, metrics_port=metrics_port)
    processes = children(running)
    assert len(processes) == 2
    assert running.get("/ready").json()["ready"]
    for _ in range(4):
        assert running.post("/workflow/execute", REQUEST).status_code == 200
    counted = _runs(httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text)
    assert counted.keys() == {"0", "1"}
    assert sum(counted.values()) == 4
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0
    assert not any(process.is_running() for process in processes)


def test_a_process_that_is_killed_is_replaced_and_none_outlives_the_one_that_started_them(
    services: Services, database_url: str, metrics_port: int
) -> None:
    running = services.start(database_url=database_url, processes=2, metrics_port=metrics_port)
    victim = children(running)[0]
    eventually_sync(lambda: time.time() - victim.create_time() > QUICK_DEATH_SECONDS + 1)
    victim.kill()
    eventually_sync(lambda: len([child for child in children(running) if child.pid != victim.pid]) == 2)
    assert running.post("/workflow/execute", REQUEST).status_code == 200
    processes = children(running)
    running.process.kill()
    eventually_sync(lambda: not any(process.is_running() for process in processes))


def test_several_processes_without_a_metrics_port_are_refused(services: Services, database_url: str) -> None:
    refused = services.command("serve", database_url=database_url, processes=2)
    assert refused.returncode == 2
    assert "AGENT_METRICS_PORT" in refused.stderr


def test_an_api_without_a_worker_accepts_and_a_worker_without_an_api_executes(
    services: Services, database_url: str
) -> None:
    api = services.start("api", database_url=database_url, role="api")
    created = api.post("/runs", {"assistant_id": "support_triage", **REQUEST}).json()
    run = f"/threads/{created['thread_id']}/runs/{created['run_id']}"
    assert api.get(run).json()["status"] == "pending"
    worker = services.start("worker", database_url=database_url, role="worker")
    assert worker.get("/ready").status_code == 200
    assert worker.post("/runs", {"assistant_id": "support_triage", **REQUEST}).status_code == 404
    answer = api.get(f"{run}/join")
    assert answer.json()["answer"]["text"]
    assert api.get(run).json()["status"] == "success"


def _runs(metrics: str) -> dict[str, float]:
    """Successful runs by process."""
    samples = [sample for family in text_string_to_metric_families(metrics) for sample in family.samples]
    ends = [sample for sample in samples if sample.name == "agent_runs_total" and sample.labels["status"] == "success"]
    return {sample.labels["process"]: sample.value for sample in ends}
