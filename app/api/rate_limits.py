"""Refuses a request that comes too fast, before anything else is done for it."""

from __future__ import annotations

import math
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app import contract
from app.api.errors import problem_response
from app.runtime.problems import LimitReached
from app.security.buckets import Rate
from app.security.caller import LAPTOP
from app.security.client_address import ClientAddresses, grouped

NEVER_LIMITED = {contract.LIVE_PATH, contract.READY_PATH, contract.METRICS_PATH, "/ok"}


class RateLimited:
    """`whose` says by whom a request is counted, or None for nobody."""

    def __init__(self, app: ASGIApp, limit: str, rate: Rate, whose: Callable[[Scope], str | None]) -> None:
        self._app = app
        self._limit = limit
        self._rate = rate
        self._whose = whose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and scope["path"] not in NEVER_LIMITED and (whose := self._whose(scope)):
            wait = await scope["app"].state.service.rates.take(self._limit, whose, self._rate)
            if wait:
                scope["app"].state.service.metrics.limits_refused.labels(self._limit).inc()
                await problem_response(_too_fast(self._limit, self._rate, wait))(scope, receive, send)
                return
        await self._app(scope, receive, send)


def by_address(addresses: ClientAddresses) -> Callable[[Scope], str | None]:
    """Counted by the client's address; a client on this machine is not."""

    def whose(scope: Scope) -> str | None:
        peer = scope.get("client") or ("", 0)
        forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))
        address = addresses.of(peer[0], forwarded)
        if address is None:
            return peer[0] or "unknown"
        return None if address.is_loopback else grouped(address)

    return whose


def by_user(scope: Scope) -> str | None:
    """Counted by who signed in; the one user of a service without sign-in is not."""
    caller = scope.get("caller", LAPTOP)
    return None if caller == LAPTOP else f"{caller.tenant}\0{caller.user}"


def _too_fast(limit: str, rate: Rate, wait: float) -> LimitReached:
    seconds = max(1, math.ceil(wait))
    return LimitReached(
        f"Too many requests: the limit is {rate}. Send this again in {seconds} s.",
        limit=limit,
        value=str(rate),
        retry_after=seconds,
    )
