"""Several service processes behind one port: starts them, replaces those that die, stops them all together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from app import contract
from app.failures import Exit, Refused
from app.listening import listen, serve_metrics, url_of
from app.observability.gathered import gathered_registry
from app.settings import Settings

BACKLOG = 2048  # uvicorn's own
LOOK_SECONDS = 0.1
START_SECONDS = 60.0
QUICK_DEATH_SECONDS = 5.0  # a process that dies sooner is replaced only after as long
STOP_MARGIN_SECONDS = 10.0


@dataclass
class _Child:
    number: int
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)


def serve_together(settings: Settings, when_listening: Callable[[str], None]) -> int:
    """Serves until a signal; the exit code when the processes have ended."""
    with listen(settings) as listener:
        listener.listen(BACKLOG)
        own: dict[str, object] = {
            contract.ENV_ROLE: settings.role,
            contract.ENV_HOST: settings.host,
            contract.ENV_CONFIG: settings.config,
            contract.ENV_DATABASE_URL: settings.database_url.get_secret_value() if settings.database_url else None,
        }
        together = Supervisor(listener, settings.processes, environment_of(own), settings.metrics_port)
        serve_metrics(settings, gathered_registry(together.metrics_pages))
        stop_seconds = settings.drain_seconds + contract.AFTER_DRAIN_SECONDS
        return together.run(lambda: when_listening(url_of(listener)), stop_seconds)


class Supervisor:
    """Runs `count` processes on an inherited listening socket until a signal."""

    def __init__(self, listener: socket.socket, count: int, environment: Mapping[str, str], metrics_port: int) -> None:
        self._listener = listener
        self._count = count
        self._environment = environment
        self._metrics_port = metrics_port
        self._children: dict[int, _Child] = {}
        self._stopping = False

    def run(self, when_ready: Callable[[], None], stop_seconds: float) -> int:
        """The exit code: 0 after a signal, 1 when the processes never became ready."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        with TemporaryDirectory(prefix="agent-") as folder:
            try:
                for number in range(self._count):
                    self._start(number, Path(folder))
                if not self._wait_until_ready(Path(folder)):
                    return Exit.OK if self._stopping else Exit.FAILED
                when_ready()
                while not self._stopping:
                    self._replace_dead(Path(folder))
                    time.sleep(LOOK_SECONDS)
                return Exit.OK
            finally:
                self._end(stop_seconds + STOP_MARGIN_SECONDS)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self, number: int, folder: Path) -> None:
        ready = _ready_file(folder, number)
        ready.unlink(missing_ok=True)
        descriptor = str(self._listener.fileno())
        own = ["--listen-fd", descriptor, "--leader", str(os.getpid()), "--ready-file", ready]
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve", *own],
            env={**self._environment, **self._own(number)},
            pass_fds=[self._listener.fileno()],
            # Ctrl-C reaches the whole foreground group: only this process may act on it.
            start_new_session=True,
        )
        self._children[number] = _Child(number, process)

    def _own(self, number: int) -> dict[str, str]:
        return {contract.ENV_PROCESSES: "1", contract.ENV_METRICS_PORT: str(self._metrics_port + 1 + number)}

    def metrics_pages(self) -> dict[str, str]:
        """Where each process shows its metrics; the port itself shows them together."""
        first = self._metrics_port + 1
        return {
            str(number): f"http://127.0.0.1:{first + number}{contract.METRICS_PATH}" for number in range(self._count)
        }

    def _wait_until_ready(self, folder: Path) -> bool:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and not self._stopping:
            if any(child.process.poll() is not None for child in self._children.values()):
                return False
            if all(_ready_file(folder, number).exists() for number in self._children):
                return True
            time.sleep(LOOK_SECONDS)
        return False

    def _replace_dead(self, folder: Path) -> None:
        for child in list(self._children.values()):
            lived = time.monotonic() - child.started
            if child.process.poll() is not None and lived > QUICK_DEATH_SECONDS:
                sys.stderr.write(
                    f"process {child.number} ended with {child.process.returncode} after {lived:.0f} s: another starts\n"
                )
                self._start(child.number, folder)

    def _end(self, seconds: float) -> None:
        for child in self._children.values():
            if child.process.poll() is None:
                child.process.terminate()
        end = time.monotonic() + seconds
        for child in self._children.values():
            try:
                child.process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()


def _ready_file(folder: Path, number: int) -> Path:
    return folder / f"{number}.json"


def refuse_shared_metrics(processes: int, metrics_port: int) -> None:
    """On the API's port a scrape would reach any one of the processes."""
    if processes > 1 and not metrics_port:
        raise Refused(
            f"{contract.ENV_PROCESSES}={processes}: several processes need {contract.ENV_METRICS_PORT}, where they show their"
            " metrics together; each takes one of the ports after it. Set it, for example to 9090."
        )


def environment_of(settings: Mapping[str, object]) -> dict[str, str]:
    """This process's environment with settings from its command line."""
    given = {name: str(value) for name, value in settings.items() if value is not None}
    return {**os.environ, **given}
