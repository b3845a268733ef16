"""A receiver of webhooks as a process of its own: what it was sent is in a file, what it answers is said at its start."""

from __future__ import annotations

import json
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

folder, answers = Path(sys.argv[1]), [int(status) for status in sys.argv[2:]]
seen: Counter[str] = Counter()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        name = self.headers["webhook-id"]
        status = answers[min(seen[name], len(answers) - 1)]  # the n-th answer for its n-th attempt
        seen[name] += 1
        request: dict[str, Any] = {"path": self.path, "headers": dict(self.headers), "body": body, "status": status}
        with (folder / "received.jsonl").open("a") as file:
            file.write(json.dumps(request) + "\n")
        self.send_response(status)
        self.send_header("location", f"http://{self.headers['host']}/followed")
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815  http.server's own name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's own name
        """Says nothing."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
(folder / "port").write_text(str(server.server_port))
server.serve_forever()
