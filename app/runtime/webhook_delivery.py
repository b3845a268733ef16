"""One delivery of a webhook: signed, to an address that was looked at, and followed nowhere else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

import httpcore

from app import __version__
from app.runtime.webhook_policy import HTTP_PORTS, WebhookPolicy
from app.runtime.webhook_signature import key_of, read_secrets, signature

MOST_AT_ONCE = 32
ATTEMPT_SECONDS = 15.0  # what the standard recommends at least


class RefusedAddress(Exception):
    """The host's name leads to an address that no webhook may go to."""


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Resolves a name once and connects to what was looked at: a second answer of its server can change nothing."""

    def __init__(self, policy: WebhookPolicy) -> None:
        self._policy = policy
        self._network = cast(
            "httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend()
        )  # its stub is the one without anyio

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if not all(self._policy.allows(host.rstrip("."), address) for address in addresses):
            raise RefusedAddress
        failure: Exception = OSError("no address")
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as again:
                failure = again
        raise failure


class Courier:
    """Posts webhooks. Open it as a context manager."""

    def __init__(self, policy: WebhookPolicy, secret_file: Path | None) -> None:
        self._policy = policy
        self._headers = [(name.encode(), value.encode()) for name, value in policy.headers.items()]
        self._secret_file = secret_file
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpcore.default_ssl_context(),
            network_backend=CheckedNetwork(policy),
            max_connections=MOST_AT_ONCE,  # httpcore's own 10 would have the others wait, and fail for it
            max_keepalive_connections=0,  # a connection is for one address that was looked at
        )

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.__aexit__(kind, failure, trace)

    async def post(self, url: str, webhook_id: str, tenant: str, timestamp: int, body: bytes) -> int:
        """The status of the answer, of which nothing else is read.

        Raises InvalidInput for what was allowed when it was accepted and no longer is; RefusedAddress, httpcore's
        errors, OSError.
        """
        self._policy.check(url)
        own = {
            "host": urlsplit(url).netloc,
            "content-type": "application/json",
            "content-length": str(len(body)),
            "user-agent": f"langgraph-eks/{__version__}",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp),
        }
        if self._secret_file:
            keys = read_secrets(self._secret_file.read_text())
            own["webhook-signature"] = signature((key_of(key, tenant) for key in keys), webhook_id, timestamp, body)
        headers = [*self._headers, *((name.encode(), value.encode()) for name, value in own.items())]
        async with (
            asyncio.timeout(ATTEMPT_SECONDS),
            self._pool.stream("POST", _url(url), headers=headers, content=body) as answer,
        ):
            return answer.status


def _url(url: str) -> httpcore.URL:
    """As the policy read it, so that the host that is called is the one that was checked."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = parts.port or HTTP_PORTS[parts.scheme]
    return httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=port, target=target)
