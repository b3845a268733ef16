"""Several processes on one metrics page."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager

import pytest
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.parser import text_string_to_metric_families

from app.observability import gathered
from app.observability.gathered import gathered_registry
from app.observability.metrics import Metrics
from app.settings import CHECKOUT


@contextmanager
def page_of(registry: CollectorRegistry) -> Generator[str]:
    server, thread = start_http_server(0, "127.0.0.1", registry)
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    server.server_close()
    thread.join()


def samples(registry: CollectorRegistry, name: str) -> list[tuple[Mapping[str, str], float]]:
    text = generate_latest(registry).decode()
    families = text_string_to_metric_families(text)
    return [(sample.labels, sample.value) for family in families for sample in family.samples if sample.name == name]


@pytest.fixture
def two() -> Generator[tuple[Metrics, Metrics, CollectorRegistry]]:
    one, other = Metrics(), Metrics()
    with page_of(one.registry) as first, page_of(other.registry) as second:
        yield one, other, gathered_registry(lambda: {"0": first, "1": second})


Two = tuple[Metrics, Metrics, CollectorRegistry]


def test_every_sample_is_there_once_for_each_process(two: Two) -> None:
    one, other, together = two
    one.runs.labels("success").inc(3)
    other.runs.labels("success").inc(4)
    found = [
        (labels["process"], value)
        for labels, value in samples(together, "agent_runs_total")
        if labels["status"] == "success"
    ]
    assert sorted(found) == [("0", 3), ("1", 4)]
    for name in ("agent_active_workflows", "process_resident_memory_bytes", "agent_http_request_duration_seconds_sum"):
        assert sorted(labels["process"] for labels, _ in samples(together, name)) == ["0", "1"], name


def test_types_and_names_are_those_of_one_process(two: Two) -> None:
    one, _, together = two

    def described(registry: CollectorRegistry) -> set[str]:
        lines = generate_latest(registry).decode().splitlines()
        return {line for line in lines if line.startswith("# ") and not line.startswith("# HELP python_info")}

    assert described(together) == described(one.registry)
    text = generate_latest(together).decode()
    assert text.count("# TYPE agent_runs_total counter\n") == 1


def test_a_process_that_hangs_or_is_gone_does_not_hide_the_others(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered, "ANSWER_SECONDS", 0.2)
    metrics = Metrics()
    metrics.claims.inc()
    with ExitStack() as stack:
        page = stack.enter_context(page_of(metrics.registry))
        hanging = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        closed = socket.create_server(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        closed.close()
        pages = {
            "0": f"http://127.0.0.1:{hanging.getsockname()[1]}/metrics",
            "1": f"http://127.0.0.1:{port}/metrics",
            "2": page,
        }
        found = samples(gathered_registry(lambda: pages), "agent_run_claims_total")
    assert found == [({"process": "2"}, 1)]


def test_a_proxy_of_the_environment_is_not_asked(two: Two) -> None:
    script = (
        "import sys; from prometheus_client import generate_latest;"
        "from app.observability.gathered import gathered_registry;"
        "print(generate_latest(gathered_registry(lambda: {'0': sys.argv[1]})).decode())"
    )
    with page_of(two[0].registry) as page:
        done = subprocess.run(
            [sys.executable, "-c", script, page],
            cwd=CHECKOUT,
            env={**os.environ, "http_proxy": "http://127.0.0.1:9", "no_proxy": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert 'agent_run_claims_total{process="0"} 0.0' in done.stdout


def test_without_a_process_the_page_is_empty() -> None:
    assert generate_latest(gathered_registry(dict)) == b""
