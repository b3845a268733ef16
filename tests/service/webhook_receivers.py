"""Starts receivers of webhooks, and reads what they were sent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.service.waiting import eventually_sync

PROGRAM = Path(__file__).with_name("receiver.py")


@dataclass(frozen=True)
class Receiver:
    """A process that answers webhooks."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/runs"

    def received(self, status: int | None = None) -> list[dict[str, Any]]:
        """What came so far, as {path, headers, body, status}; that which was answered with this status."""
        file = self.folder / "received.jsonl"
        requests = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [request for request in requests if status in {None, request["status"]}]


@contextmanager
def receiver(*answers: int) -> Generator[Receiver]:
    """Answers each webhook's n-th attempt with the n-th of these, and then with the last."""
    with TemporaryDirectory(prefix="agent-receiver-") as name:
        folder = Path(name)
        process = subprocess.Popen([sys.executable, PROGRAM, folder, *map(str, answers or (200,))])
        try:
            port = folder / "port"
            eventually_sync(lambda: port.exists() and port.read_text())
            yield Receiver(folder, int(port.read_text()))
        finally:
            process.kill()
            process.wait()
