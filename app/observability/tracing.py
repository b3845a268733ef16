"""Traces by OpenTelemetry, from a request through the queue to its run and the run's nodes.

Off without an endpoint, and then a few function calls. No attribute holds a word of a user: an exception is its type.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SERVICE_NAME = "langgraph-agent"
EXPORT_TIMEOUT_SECONDS = 3  # of one export, and of the last ones of a process that stops

Attribute = str | int | float | bool

_propagator = TraceContextTextMapPropagator()
_provider: TracerProvider | None = None
_tracer: Tracer | None = None


def configure_tracing(endpoint: str | None) -> None:
    """Sends this process's spans to a collector by OTLP over HTTP; sampling and headers follow the OTEL_ variables."""
    if not endpoint:
        return
    # Imported only here: 60 ms, for nothing when tracing is off.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT_SECONDS)
    # A name or attributes in the environment win over ours.
    resource = Resource.create({"service.name": SERVICE_NAME}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)  # so that a graph's own spans join ours
    trace_with(provider)


def trace_with(provider: TracerProvider | None) -> None:
    """Makes spans with a provider that somebody else set up; none turns tracing off."""
    global _provider, _tracer  # noqa: PLW0603  one tracer a process, as OpenTelemetry has it
    _provider = provider
    _tracer = provider.get_tracer("app") if provider else None


def stop_tracing() -> None:
    """Sends what is left; a collector that is away holds the process up for one export, not for each batch."""
    if _provider:
        sending = threading.Thread(target=_provider.shutdown, daemon=True, name="last-spans")
        sending.start()
        sending.join(EXPORT_TIMEOUT_SECONDS)
    trace_with(None)


def tracer() -> Tracer | None:
    """None when tracing is off."""
    return _tracer


def current_trace_id() -> str | None:
    """The running trace, for log lines."""
    if _tracer is None:
        return None
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def current_traceparent() -> str | None:
    """The running span as W3C trace context, to be stored with what shall continue it."""
    if _tracer is None:
        return None
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def continued(traceparent: str | None, name: str, *, again: bool = False, **attributes: Attribute) -> Generator[Span]:
    """A span of the trace that `traceparent` belongs to.

    `again` says that an earlier attempt was part of that trace: the collector may have judged and closed it since,
    so this attempt is a trace of its own with a link to it.
    """
    if _tracer is None:
        yield INVALID_SPAN
        return
    parent, links = parent_of(traceparent), ()
    if again:
        earlier = trace.get_current_span(parent).get_span_context()
        parent, links = Context(), ((Link(earlier),) if earlier.is_valid else ())
    span = _tracer.start_span(name, parent, SpanKind.CONSUMER, attributes, links)
    with entered(span):
        yield span


@contextmanager
def entered(span: Span) -> Generator[None]:
    """Makes a span the running one, and ends it with the block."""
    token = attach(trace.set_span_in_context(span))
    failure: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        failure = raised
        raise
    finally:
        detach(token)
        end_span(span, failure)


def parent_of(traceparent: str | None) -> Context:
    """The context a traceparent stands for; an empty one for anything malformed."""
    return _propagator.extract({"traceparent": traceparent} if traceparent else {}, Context())


def end_span(span: Span, failure: BaseException | None) -> None:
    """Ends a span with its failure's type alone: OpenTelemetry's own way records the message, which may quote a user."""
    if is_error(failure):
        span.set_attribute("error.type", type(failure).__name__)
        span.set_status(StatusCode.ERROR)
    span.end()


def is_error(failure: BaseException | None) -> bool:
    """A graph has ways to stop, and a task to be stopped, that are nobody's error."""
    from langgraph.errors import GraphBubbleUp  # takes time: processes without graphs write logs with trace ids too

    return failure is not None and not isinstance(failure, GraphBubbleUp | asyncio.CancelledError | GeneratorExit)
