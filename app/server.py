"""Listening, readiness, and stopping in order: readiness off, runs finished, then the sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from types import FrameType

import uvicorn
import uvloop
from fastapi import FastAPI

from app import contract
from app.http_protocol import SECURITY_HEADERS, PatientProtocol
from app.listening import url_of
from app.settings import Settings


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
        self.should_exit = True


def run(
    settings: Settings,
    app: FastAPI,
    listener: socket.socket,
    when_listening: Callable[[str], None],
    leader: int | None,
) -> None:
    """Serves until a signal, or until the process `leader` is gone, when this is one of several."""
    uvloop.run(_run(settings, app, listener, when_listening, leader))


async def _run(
    settings: Settings,
    app: FastAPI,
    listener: socket.socket,
    when_listening: Callable[[str], None],
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
        timeout_graceful_shutdown=contract.AFTER_DRAIN_SECONDS,
    )
    watch = asyncio.create_task(_follow_leader(leader)) if leader else None
    tell = partial(when_listening, url_of(listener))
    await DrainingServer(config, app, settings.drain_seconds, tell).serve(sockets=[listener])
    if watch:
        watch.cancel()


async def _follow_leader(leader: int) -> None:
    """A process of several stops when the one that started it is gone."""
    while os.getppid() == leader:  # noqa: ASYNC110  nothing tells a process of its parent's end
        await asyncio.sleep(1)
    signal.raise_signal(signal.SIGTERM)
