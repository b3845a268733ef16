"""python -m app serve | api | worker: refuses what cannot work, listens, then serves, alone or as several processes.

The service itself is imported last: what is refused is told at once, and a process that starts others never needs it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from psycopg import OperationalError

from app import contract
from app.failures import Exit, Refused, say
from app.listening import inherited, listen, serve_metrics, write_ready_file
from app.observability.logs import configure_logging
from app.observability.metrics import Metrics
from app.observability.tracing import configure_tracing, stop_tracing
from app.runtime.connection import connection_string, with_database
from app.runtime.schema import UnusableSchema, check_not_newer
from app.runtime.store_settings import read_store_settings
from app.runtime.store_vectors import check_vectors
from app.settings import Settings, load_settings
from app.supervisor import refuse_shared_metrics, serve_together

EXAMPLE = """
  curl -s {url}/workflow/execute -H 'content-type: application/json' \\
    -d '{{"input": {{"messages": [{{"role": "user", "content": "How do I reset my password?"}}]}}}}'
"""


def serve(given: argparse.Namespace) -> int:
    settings = load_settings(
        host=given.host,
        port=given.port,
        metrics_port=given.metrics_port,
        config=given.config,
        processes=given.processes,
        role=None if given.command == "serve" else given.command,
    )
    refuse_shared_metrics(settings.processes, settings.metrics_port)
    configure_logging(settings.log_level)
    configure_tracing(os.environ.get(contract.OTEL_ENDPOINT))
    ready_file: Path | None = given.ready_file
    if ready_file:
        ready_file.unlink(missing_ok=True)
    where = (
        "the configured PostgreSQL" if settings.database_url else f"embedded PostgreSQL in {settings.data_directory}"
    )
    engine = ", then ".join((*settings.models, "the local engine (no language model)"))

    def when_listening(url: str) -> None:
        if given.listen_fd is None:  # a process of several: the first says it for all
            told = f"serving {url} · state in {where} · answers by {engine} · {settings.sign_in_told}"
            say(f"{told}\n{EXAMPLE.format(url=url)}")
        if ready_file:
            write_ready_file(ready_file, settings, url)

    with ExitStack() as stack:
        stack.callback(stop_tracing)
        settings = stack.enter_context(with_database(settings))
        _refuse_unusable_database(settings)
        if settings.processes > 1:
            return serve_together(settings, when_listening)
        listener = listen(settings) if given.listen_fd is None else inherited(given.listen_fd)
        _serve_alone(settings, stack.enter_context(listener), when_listening, given.leader)
    return Exit.OK


def _serve_alone(
    settings: Settings, listener: socket.socket, when_listening: Callable[[str], None], leader: int | None
) -> None:
    metrics = Metrics()
    if settings.metrics_port:
        serve_metrics(settings, metrics.registry)
    # What is imported stays: to look through it for garbage again and again was a sixth of the start's CPU.
    gc.disable()
    from app.api.application import create_app
    from app.server import run

    app = create_app(settings, metrics)
    gc.freeze()
    gc.enable()
    run(settings, app, listener, when_listening, leader)


def _refuse_unusable_database(settings: Settings) -> None:
    try:
        asyncio.run(check_not_newer(connection_string(settings)))
        if index := read_store_settings(settings.config).index:
            asyncio.run(check_vectors(connection_string(settings), index.dims))
    except UnusableSchema as unusable:
        raise Refused(f"{unusable}.", Exit.STATE) from None
    except OperationalError:
        # It may come later: the service starts and /ready says what it waits for.
        say("the database does not answer yet; starting without it")
