"""An OpenTelemetry collector of a test's own: receives what the real exporter sends over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span


@dataclass
class Collector:
    """What came in so far."""

    url: str = ""
    requests: list[ExportTraceServiceRequest] = field(default_factory=list[ExportTraceServiceRequest])
    headers: list[str | None] = field(default_factory=list[str | None])

    def spans(self, name: str | None = None) -> list[Span]:
        """In the order of their ends."""
        found = [span for row in self._resources() for scope in row.scope_spans for span in scope.spans]
        return [span for span in found if name in {None, span.name}]

    def one(self, name: str) -> Span:
        [span] = self.spans(name)
        return span

    def services(self) -> set[str]:
        attributes = [attribute for row in self._resources() for attribute in row.resource.attributes]
        return {attribute.value.string_value for attribute in attributes if attribute.key == "service.name"}

    def holds(self, text: str) -> bool:
        return any(text.encode() in request.SerializeToString() for request in self.requests)

    def _resources(self) -> list[ResourceSpans]:
        return [row for request in self.requests for row in request.resource_spans]


@contextmanager
def listening_collector() -> Generator[Collector]:
    received = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
            received.requests.append(ExportTraceServiceRequest.FromString(body))
            received.headers.append(self.headers["x-team"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name in the library
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    received.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield received
    server.shutdown()
    server.server_close()
