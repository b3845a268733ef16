"""One trace from the request through the queue to the run's nodes, over processes, without a word of a user."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from typing import Any, TypedDict, cast

import httpx
import pytest
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphDrained
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, StatusCode

from app.observability import tracing
from app.observability.graph_nodes import AnyGraph, NodeObserver
from app.observability.http_traces import NO_TELEMETRY, TracedRequests
from app.observability.logs import JsonFormatter
from app.observability.metrics import Metrics

WORDS = "Umlaufbahn"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Recorded:
    """Spans by name, as they ended."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def one(self, name: str) -> ReadableSpan:
        [span] = [span for span in self.all() if span.name == name]
        return span


@contextmanager
def recording() -> Generator[Recorded]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.trace_with(provider)
    try:
        yield Recorded(exporter)
    finally:
        tracing.trace_with(None)


@pytest.fixture
def recorded() -> Generator[Recorded]:
    with recording() as spans:
        yield spans


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context
    return context


def trace_of(span: ReadableSpan) -> int:
    return context_of(span).trace_id


def is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    return child.parent is not None and child.parent.span_id == context_of(parent).span_id


class State(TypedDict, total=False):
    text: str


def sequence(*nodes: Any, **options: Any) -> AnyGraph:
    first = nodes[0]
    name: str = cast("tuple[str, object]", first)[0] if isinstance(first, tuple) else first.__name__
    return cast("AnyGraph", StateGraph(State).add_sequence(list(nodes)).add_edge(START, name).compile(**options))


def observed(graph: AnyGraph) -> AnyGraph:
    return NodeObserver(Metrics()).observed(graph, "talk")


def read(state: State) -> State:
    return {}


async def answer(state: State) -> State:
    await asyncio.sleep(0)
    return {"text": WORDS}


async def break_down(state: State) -> State:
    raise ValueError(state.get("text"))


# From the request to the nodes


@pytest.mark.anyio
async def test_a_run_and_its_nodes_belong_to_the_trace_of_the_request(recorded: Recorded) -> None:
    rows: list[str | None] = []
    app = FastAPI(telemetry=NO_TELEMETRY)
    app.add_middleware(TracedRequests)

    @app.post("/threads/{thread_id}/runs")
    async def submit(thread_id: str) -> None:  # pyright: ignore[reportUnusedFunction]  FastAPI calls it
        rows.append(tracing.current_traceparent())

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        await client.post("/threads/t/runs")
    # The worker is another task, which knows the row alone.
    with tracing.continued(rows[0], "run", again=False, **{"agent.graph": "talk"}):
        await observed(sequence(read, answer)).ainvoke({"text": WORDS})
    request, run = recorded.one("POST /threads/{thread_id}/runs"), recorded.one("run")
    assert is_child(run, request)
    assert {trace_of(span) for span in recorded.all()} == {trace_of(request)}
    for node in ("node read", "node answer"):
        assert is_child(recorded.one(node), run)
    assert recorded.one("node read").attributes == {"agent.graph": "talk", "agent.node": "read"}


@pytest.mark.anyio
async def test_nodes_of_a_subgraph_are_children_of_the_node_that_is_the_subgraph(recorded: Recorded) -> None:
    with tracing.continued(None, "run"):
        await observed(sequence(("inner", sequence(read, answer)), break_even)).ainvoke({})
    assert is_child(recorded.one("node inner"), recorded.one("run"))
    assert is_child(recorded.one("node inner/answer"), recorded.one("node inner"))
    assert is_child(recorded.one("node break_even"), recorded.one("run"))


def break_even(state: State) -> State:
    return {}


@pytest.mark.anyio
async def test_spans_that_a_nodes_own_code_makes_are_inside_the_node(recorded: Recorded) -> None:
    async def with_span(state: State) -> State:
        active = tracing.tracer()
        assert active
        active.start_span("own").end()
        return {}

    def sync_with_span(state: State) -> State:
        active = tracing.tracer()
        assert active
        active.start_span("own, in a thread").end()
        return {}

    with tracing.continued(None, "run"):
        await observed(sequence(with_span, sync_with_span)).ainvoke({})
    assert is_child(recorded.one("own"), recorded.one("node with_span"))
    assert is_child(recorded.one("own, in a thread"), recorded.one("node sync_with_span"))


@pytest.mark.parametrize("text", ["fine", "bad"])
def test_after_a_node_its_span_is_not_the_running_one_any_more(recorded: Recorded, text: str) -> None:
    def judge(state: State) -> State:
        if state.get("text") == "bad":
            raise ZeroDivisionError
        return {}

    node = observed(sequence(judge)).nodes["judge"].bound
    with suppress(ZeroDivisionError):
        node.invoke({"text": text})
    assert recorded.one("node judge")
    assert tracing.current_traceparent() is None


@pytest.mark.anyio
async def test_runs_and_nodes_at_the_same_time_keep_to_their_own_traces(recorded: Recorded) -> None:
    async def left(state: State) -> State:
        await asyncio.sleep(0.001)
        return {}

    async def right(state: State) -> State:
        await asyncio.sleep(0.001)
        return {}

    builder = StateGraph(State).add_node(left).add_node(right).add_edge(START, "left").add_edge(START, "right")
    graph = observed(cast("AnyGraph", builder.compile()))

    async def run(number: int) -> None:
        with tracing.continued(None, f"run {number}"):
            await graph.ainvoke({})

    await asyncio.gather(*(run(number) for number in range(5)))
    for number in range(5):
        root = recorded.one(f"run {number}")
        inside = [span.name for span in recorded.all() if is_child(span, root)]
        assert sorted(inside) == ["node left", "node right"]
    assert len({trace_of(span) for span in recorded.all()}) == 5


def test_a_later_attempt_is_a_trace_of_its_own_with_a_link_to_the_request(recorded: Recorded) -> None:
    with tracing.continued(TRACEPARENT, "first"):
        pass
    with tracing.continued(TRACEPARENT, "second", again=True):
        pass
    first, second = recorded.one("first"), recorded.one("second")
    assert f"{trace_of(first):032x}" == TRACEPARENT.split("-")[1]
    assert second.parent is None
    assert trace_of(second) != trace_of(first)
    [link] = second.links
    assert f"{link.context.trace_id:032x}-{link.context.span_id:016x}" == TRACEPARENT[3:-3]


def test_a_request_that_is_not_sampled_leaves_no_trace_of_its_run(recorded: Recorded) -> None:
    with tracing.continued(TRACEPARENT[:-2] + "00", "run") as span:
        assert not span.is_recording()
        assert (tracing.current_traceparent() or "").endswith("-00")
    assert recorded.all() == ()


@given(st.none() | st.text() | st.from_regex(r"\A[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.?\Z"), st.booleans())
def test_whatever_stands_in_a_row_a_run_is_traced_or_untraced_but_runs(traceparent: str | None, again: bool) -> None:
    ran = False
    with recording(), tracing.continued(traceparent, "run", again=again):
        ran = True
    assert ran


# Words of users


def everything_in(spans: Iterable[ReadableSpan]) -> str:
    return "".join(span.to_json() for span in spans)


@pytest.mark.anyio
async def test_a_failing_node_is_marked_with_its_exceptions_type_alone(recorded: Recorded) -> None:
    with pytest.raises(ValueError, match=WORDS), tracing.continued(None, "run"):
        await observed(sequence(break_down)).ainvoke({"text": WORDS})
    for name in ("node break_down", "run"):
        span = recorded.one(name)
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"] == "ValueError"
    assert WORDS not in everything_in(recorded.all())


@pytest.mark.anyio
async def test_a_question_a_drain_and_a_cancellation_are_no_errors(recorded: Recorded) -> None:
    def ask(state: State) -> State:
        return interrupt(WORDS)

    with tracing.continued(None, "asked"):
        graph = observed(sequence(ask, checkpointer=InMemorySaver()))
        await graph.ainvoke({"text": WORDS}, {"configurable": {"thread_id": "t"}})
    with pytest.raises(GraphDrained), tracing.continued(None, "drained"):
        raise GraphDrained("sigterm")
    with pytest.raises(asyncio.CancelledError), tracing.continued(None, "cancelled"):
        raise asyncio.CancelledError
    assert [span.name for span in recorded.all()] == ["node ask", "asked", "drained", "cancelled"]
    assert all(span.status.status_code is StatusCode.UNSET for span in recorded.all())
    assert WORDS not in everything_in(recorded.all())


@pytest.mark.anyio
async def test_a_requests_span_has_its_route_and_status_and_nothing_the_client_wrote(recorded: Recorded) -> None:
    app = FastAPI(telemetry=NO_TELEMETRY)
    app.add_middleware(TracedRequests)

    @app.api_route("/threads/{thread_id}", methods=["POST", "SPELL"])
    async def thread(thread_id: str, request: Request) -> None:  # pyright: ignore[reportUnusedFunction]  FastAPI calls it
        if await request.body():
            raise ValueError(thread_id)

    @app.get("/health")
    async def health() -> None: ...  # pyright: ignore[reportUnusedFunction]  FastAPI calls it

    headers = {"host": f"{WORDS}.example", "user-agent": WORDS, "cookie": WORDS, "traceparent": TRACEPARENT}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
        await client.post(f"/threads/{WORDS}?q={WORDS}")
        await client.post(f"/threads/{WORDS}", content=WORDS)
        await client.request("SPELL", f"/threads/{WORDS}")
        await client.get(f"/{WORDS}")
        await client.get("/health")
    fine, failed, spelled, lost = recorded.all()
    assert fine.name == failed.name == "POST /threads/{thread_id}"
    assert fine.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/threads/{thread_id}",
    }
    assert f"{trace_of(fine):032x}" == TRACEPARENT.split("-")[1]
    assert failed.status.status_code is StatusCode.ERROR
    assert spelled.name == "_OTHER /threads/{thread_id}"
    assert (lost.name, (lost.attributes or {})["http.response.status_code"]) == ("GET", 404)
    assert WORDS not in everything_in(recorded.all())


# Logs


def logged() -> dict[str, Any]:
    return json.loads(JsonFormatter().format(logging.makeLogRecord({"name": "app.x", "msg": "said"})))


def test_a_log_line_names_the_trace_it_belongs_to(recorded: Recorded) -> None:
    assert "trace_id" not in logged()
    with tracing.continued(TRACEPARENT, "run"):
        assert logged()["trace_id"] == TRACEPARENT.split("-")[1]
