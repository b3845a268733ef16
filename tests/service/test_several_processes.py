"""One port, several processes: they share the work, are replaced when they die, and stop together."""

from __future__ import annotations

import signal
import socket
import time

import httpx
import psutil
import pytest

from app.supervisor import QUICK_DEATH_SECONDS
from tests.service.processes import Running, Services
from tests.service.waiting import eventually_sync

REQUEST = {"input": {"messages": [{"role": "user", "content": "How do I reset my password?"}]}}


def children(running: Running) -> list[psutil.Process]:
    found = psutil.Process(running.process.pid).children()
    return [child for child in found if child.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def metrics_port() -> int:
    """The first of two free ports in a row."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def test_two_processes_answer_on_one_port_and_each_has_its_own_metrics(
    services: Services, database_url: str, metrics_port: int
) -> None:
    running = services.start(database_url=database_url, processes=2, metrics_port=metrics_port)
    for _ in range(4):
        assert running.post("/workflow/execute", REQUEST).status_code == 200
    scraped = [httpx.get(f"http://127.0.0.1:{metrics_port + number}/metrics").text for number in range(2)]
    counted = [_runs(text) for text in scraped]
    assert sum(counted) == 4


def test_a_process_that_is_killed_is_replaced_and_the_port_answers_on(
    services: Services, database_url: str, metrics_port: int
) -> None:
    running = services.start(database_url=database_url, processes=2, metrics_port=metrics_port)
    victim = children(running)[0]
    eventually_sync(lambda: time.time() - victim.create_time() > QUICK_DEATH_SECONDS + 1)
    victim.kill()
    eventually_sync(lambda: len([child for child in children(running) if child.pid != victim.pid]) == 2)
    assert running.post("/workflow/execute", REQUEST).status_code == 200


def test_a_signal_stops_them_all_with_exit_code_0(services: Services, database_url: str, metrics_port: int) -> None:
    running = services.start(database_url=database_url, processes=2, metrics_port=metrics_port)
    processes = children(running)
    assert len(processes) == 2
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0
    assert not any(process.is_running() for process in processes)


def test_none_of_them_outlives_the_one_that_started_them(
    services: Services, database_url: str, metrics_port: int
) -> None:
    running = services.start(database_url=database_url, processes=2, metrics_port=metrics_port)
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


def _runs(metrics: str) -> int:
    lines = [line for line in metrics.splitlines() if line.startswith('agent_runs_total{status="success"}')]
    return int(float(lines[0].split()[-1]))


def test_the_ready_file_names_the_port(services: Services, database_url: str, metrics_port: int) -> None:
    running = services.start(database_url=database_url, processes=2, metrics_port=metrics_port)
    assert httpx.get(f"{running.url}/ready").json()["ready"]
