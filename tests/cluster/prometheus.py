"""Prometheus's query API, with answers that a test sets."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs


@dataclass
class Prometheus:
    """Answers every query with one value, or with none."""

    address: str
    value: float | None = None
    asked: set[str] = field(default_factory=set[str])


@contextmanager
def served() -> Generator[Prometheus]:
    """A server on a free port of 127.0.0.1."""
    web = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    web.daemon_threads = True
    prometheus = Prometheus(f"http://127.0.0.1:{web.server_port}")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            prometheus.asked.add(form["query"][0])
            found: list[dict[str, Any]] = []
            if prometheus.value is not None:
                found = [{"metric": {}, "value": [0, str(prometheus.value)]}]
            answer: dict[str, Any] = {"status": "success", "data": {"resultType": "vector", "result": found}}
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Not into the test's output."""

    web.RequestHandlerClass = Handler
    Thread(target=web.serve_forever, args=(0.1,), daemon=True).start()
    try:
        yield prometheus
    finally:
        web.shutdown()
        web.server_close()
