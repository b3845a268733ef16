"""The sockets of a service, and where it can be found: told as soon as a port is in use by another."""

from __future__ import annotations

import errno
import json
import socket
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server

from app import contract
from app.failures import Exit, Refused
from app.settings import Settings


def listen(settings: Settings) -> socket.socket:
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as failure:
        listener.close()
        raise _cannot_listen(failure, host, port, contract.ENV_PORT) from None
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


def inherited(descriptor: int) -> socket.socket:
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    return f"http://{_host(listener)}:{listener.getsockname()[1]}"


def serve_metrics(settings: Settings, registry: CollectorRegistry) -> None:
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


def write_ready_file(path: Path, settings: Settings, url: str) -> None:
    """Whole or not at all: others poll for the file."""
    content = {"url": url, "metrics_url": _metrics_url(settings, url)}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content))
    partial.replace(path)
