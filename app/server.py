"""Listening, readiness, and stopping in order: readiness off, runs finished, then the sockets."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn
import uvloop
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, start_http_server

from app import contract
from app.api.application import create_app
from app.failures import Exit, Refused
from app.http_protocol import SECURITY_HEADERS, PatientProtocol
from app.observability.gathered import gathered_registry
from app.observability.metrics import Metrics
from app.settings import Settings
from app.supervisor import Supervisor, environment_of, refuse_shared_metrics

BACKLOG = 2048  # uvicorn's own
AFTER_DRAIN_SECONDS = 5  # for answers that are being sent when the runs have ended


class DrainingServer(uvicorn.Server):
    """Stops accepting only after its runs have ended, so that probes see it not ready meanwhile.

    uvicorn would close its sockets at the first signal, and would end the process by that signal.
    """

    def __init__(
        self, config: uvicorn.Config, app: FastAPI, drain_seconds: float, when_listening: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds
        self._when_listening = when_listening
        self._loop = asyncio.get_running_loop()
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._when_listening()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop, sig)

    def _stop(self, sig: int) -> None:
        if self._draining is None:
            self._draining = self._loop.create_task(self._drain())
        elif sig == signal.SIGINT:
            self.force_exit = self.should_exit = True  # Ctrl-C once more: wait for nothing

    async def _drain(self) -> None:
        if self.started:
            await self._app.state.service.drain(self._drain_seconds)
        # At its end the interpreter would collect everything that was imported: 0.6 s of CPU, for nothing.
        gc.freeze()
        self.should_exit = True


def serve(
    settings: Settings, announce: Callable[[str], None], ready_file: Path | None, listen_fd: int | None = None
) -> None:
    """Serves until a signal; raises Refused when it cannot start. With a descriptor it is one of several processes."""
    metrics = Metrics()
    app = create_app(settings, metrics)
    listening = _listen(settings.host, settings.port, contract.ENV_PORT) if listen_fd is None else _inherited(listen_fd)
    with listening as listener:
        if settings.metrics_port:
            _serve_metrics(settings, metrics.registry)
        uvloop.run(_serve(settings, app, listener, announce, ready_file, leader=os.getppid() if listen_fd else None))


def serve_together(settings: Settings, announce: Callable[[str], None], ready_file: Path | None) -> int:
    """The same with several processes; the exit code when they have ended."""
    refuse_shared_metrics(settings.processes, settings.metrics_port)
    with _listen(settings.host, settings.port, contract.ENV_PORT) as listener:
        listener.listen(BACKLOG)
        url = _url(listener)
        own: dict[str, object] = {
            contract.ENV_ROLE: settings.role,
            contract.ENV_HOST: settings.host,
            contract.ENV_CONFIG: settings.config,
            contract.ENV_DATABASE_URL: settings.database_url.get_secret_value() if settings.database_url else None,
        }

        def when_ready() -> None:
            if ready_file:
                _write(ready_file, {"url": url, "metrics_url": _metrics_url(settings, url)})
            announce(url)

        together = Supervisor(listener, settings.processes, environment_of(own), settings.metrics_port)
        _serve_metrics(settings, gathered_registry(together.metrics_pages))
        return together.run(when_ready, settings.drain_seconds + AFTER_DRAIN_SECONDS)


async def _serve(
    settings: Settings,
    app: FastAPI,
    listener: socket.socket,
    announce: Callable[[str], None],
    ready_file: Path | None,
    leader: int | None,
) -> None:
    PatientProtocol.head_seconds = settings.head_seconds
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        headers=SECURITY_HEADERS,
        proxy_headers=False,  # would believe X-Forwarded-For of anybody on this machine
        log_config=None,
        access_log=False,
        server_header=False,
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,  # events are as small as server-sent ones, and not compressed either
        timeout_keep_alive=contract.KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=AFTER_DRAIN_SECONDS,
    )
    url = _url(listener)

    def when_listening() -> None:
        if ready_file:
            _write(ready_file, {"url": url, "metrics_url": _metrics_url(settings, url)})
        announce(url)

    watch = asyncio.create_task(_follow_leader(leader)) if leader else None
    await DrainingServer(config, app, settings.drain_seconds, when_listening).serve(sockets=[listener])
    if watch:
        watch.cancel()


async def _follow_leader(leader: int) -> None:
    """A process of several stops when the one that started it is gone."""
    while os.getppid() == leader:  # noqa: ASYNC110  nothing tells a process of its parent's end
        await asyncio.sleep(1)
    signal.raise_signal(signal.SIGTERM)


def _inherited(descriptor: int) -> socket.socket:
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener


def _url(listener: socket.socket) -> str:
    return f"http://{_host(listener)}:{listener.getsockname()[1]}"


def _listen(host: str, port: int, variable: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as failure:
        listener.close()
        raise _cannot_listen(failure, host, port, variable) from None
    listener.set_inheritable(False)
    return listener


def _cannot_listen(failure: OSError, host: str, port: int, variable: str) -> Refused:
    if failure.errno == errno.EADDRINUSE:
        return Refused(
            f"{variable}={port}: port {port} of {host} is in use by another process."
            " Stop that process or choose another port (0 takes any free one).",
            Exit.MISSING,
        )
    return Refused(
        f"{contract.ENV_HOST}={host}, {variable}={port}: cannot listen there ({failure.strerror}).", Exit.MISSING
    )


def _serve_metrics(settings: Settings, registry: CollectorRegistry) -> None:
    try:
        start_http_server(settings.metrics_port, settings.host, registry)
    except OSError as failure:
        raise _cannot_listen(failure, settings.host, settings.metrics_port, contract.ENV_METRICS_PORT) from None


def _host(listener: socket.socket) -> str:
    host = listener.getsockname()[0]
    if host in {"0.0.0.0", "::"}:  # noqa: S104  compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _metrics_url(settings: Settings, url: str) -> str:
    base = f"{url.rpartition(':')[0]}:{settings.metrics_port}" if settings.metrics_port else url
    return base + contract.METRICS_PATH


def _write(path: Path, content: dict[str, str]) -> None:
    """Whole or not at all: others poll for the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content))
    partial.replace(path)
