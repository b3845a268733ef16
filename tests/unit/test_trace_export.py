"""Traces over processes, through the real exporter; and none of it where no collector is named."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Generator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ExportedSpan
from opentelemetry.sdk.trace import TracerProvider

from app import contract
from app.observability import tracing
from app.settings import CHECKOUT
from tests.collector import Collector, listening_collector

WORDS = "Umlaufbahn"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Generator[Collector]:
    with listening_collector() as listening:
        yield listening


START_OF_SCRIPT = """
import os, sys
from app import contract
from app.observability import tracing
tracing.configure_tracing(os.environ.get(contract.OTEL_ENDPOINT))
"""
API = """
import asyncio, httpx
from fastapi import FastAPI
from app.observability.http_traces import NO_TELEMETRY, TracedRequests
app = FastAPI(telemetry=NO_TELEMETRY)
app.add_middleware(TracedRequests)

@app.post("/runs")
async def submit():
    print(tracing.current_traceparent())

async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        await client.post("/runs?text=Umlaufbahn")

asyncio.run(main())
tracing.stop_tracing()
"""
WORKER = """
from typing import TypedDict
from opentelemetry import trace
from langgraph.graph import START, StateGraph
from app.observability.graph_nodes import NodeObserver
from app.observability.metrics import Metrics

class State(TypedDict):
    text: str

def shout(state):
    trace.get_tracer("somebody else's").start_span("own").end()
    if sys.argv[2] == "fail":
        raise ValueError(state["text"])
    return {"text": state["text"].upper()}

graph = StateGraph(State).add_node(shout).add_edge(START, "shout").compile()
attempt = int(sys.argv[3])
try:
    with tracing.continued(sys.argv[1], f"attempt {attempt}", again=attempt > 1):
        NodeObserver(Metrics()).observed(graph, "talk").invoke({"text": "Umlaufbahn"})
except ValueError:
    pass
tracing.stop_tracing()
"""


def _environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")} | more


def _run(script: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", START_OF_SCRIPT + script, *arguments],
        cwd=CHECKOUT,
        env=_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout.strip()


def test_a_trace_goes_on_in_another_process_and_a_recovery_links_back_to_it(collector: Collector) -> None:
    settings = {contract.OTEL_ENDPOINT: collector.url, "OTEL_EXPORTER_OTLP_HEADERS": "x-team=agents"}
    row = _run(API, **settings)
    _run(WORKER, row, "fail", "1", **settings)
    assert len(collector.spans()) == 4  # FastAPI makes none of its own
    request, run, node = (collector.one(name) for name in ("POST /runs", "attempt 1", "node shout"))
    assert collector.one("own").parent_span_id == node.span_id
    assert request.trace_id == run.trace_id == node.trace_id
    assert (run.parent_span_id, node.parent_span_id) == (request.span_id, run.span_id)
    assert node.status.code == ExportedSpan().status.STATUS_CODE_ERROR

    _run(WORKER, row, "work", "2", **settings, OTEL_SERVICE_NAME="renamed")
    recovery, again = collector.one("attempt 2"), collector.spans("node shout")[-1]
    assert (recovery.parent_span_id, again.parent_span_id) == (b"", recovery.span_id)
    assert recovery.trace_id not in (b"", request.trace_id)
    [link] = recovery.links
    assert (link.trace_id, link.span_id) == (request.trace_id, request.span_id)
    assert collector.services() == {tracing.SERVICE_NAME, "renamed"}
    assert set(collector.headers) == {"agents"}
    assert not collector.holds(WORDS)


def test_without_an_endpoint_nothing_is_traced_and_no_exporter_is_loaded() -> None:
    script = f"""
with tracing.continued({TRACEPARENT!r}, "run") as span:
    assert not span.is_recording()
    assert tracing.current_traceparent() is None
tracing.configure_tracing("")
tracing.stop_tracing()
print([name for name in sys.modules if name.startswith("opentelemetry.exporter")])
"""
    assert _run(script) == "[]"


def test_a_process_stops_although_its_collector_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answered = threading.Event(), threading.Event()

    class Hanging(TracerProvider):
        def shutdown(self) -> None:
            asked.set()
            answered.wait(5)
            answered.set()

    monkeypatch.setattr(tracing, "EXPORT_TIMEOUT_SECONDS", 0.01)
    tracing.trace_with(Hanging(shutdown_on_exit=False))
    tracing.stop_tracing()
    assert asked.is_set()
    assert not answered.is_set()
    assert tracing.tracer() is None
    answered.set()
