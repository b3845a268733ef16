"""Lets nobody further in without a caller, and ends answers that outlive their token."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import contract
from app.api.errors import error_response
from app.security.caller import Caller
from app.security.rejections import MESSAGES, CannotTell, Rejected
from app.security.sign_in import SignIn

OPEN = {contract.LIVE_PATH, contract.READY_PATH, contract.METRICS_PATH, "/ok"}
"""They hold nothing of any user, and who asks them has no token."""

LONGEST_ANSWER_SECONDS = 3600.0  # then the client comes again, with a token or key that may have been revoked meanwhile
RETRY_SECONDS = 2


class SignInMiddleware:
    """Puts the Caller into scope["caller"]."""

    def __init__(self, app: ASGIApp, grace_seconds: float) -> None:
        self._app = app
        self._grace_seconds = grace_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        sign_in: SignIn = scope["app"].state.service.sign_in
        try:
            caller = await sign_in.caller(Headers(scope=scope))
        except Rejected as rejected:
            response = _refusal(rejected)
        except CannotTell:
            message = "Tokens cannot be checked now: the issuer's keys or the database are away. Try again."
            response = error_response(503, "sign_in_unavailable", message, headers={"retry-after": str(RETRY_SECONDS)})
        else:
            scope["caller"] = caller
            await self._in_time(caller, scope, receive, send)
            return
        await response(scope, receive, send)

    async def _in_time(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        """The connection breaks at the end: an SDK client then asks for the rest, with its Last-Event-ID."""
        begun = False

        async def noticed(message: Message) -> None:
            nonlocal begun
            await send(message)
            begun = True  # not before: what is sent first waits for the record of it

        limit = asyncio.timeout(self._seconds(caller))
        try:
            async with limit:
                await self._app(scope, receive, noticed)
        except TimeoutError:
            if not limit.expired():
                raise
            if not begun:
                await _refusal(Rejected("expired"))(scope, receive, send)

    def _seconds(self, caller: Caller) -> float:
        if caller.expires_at is None:
            return LONGEST_ANSWER_SECONDS
        return min(caller.expires_at - time.time() + self._grace_seconds, LONGEST_ANSWER_SECONDS)


def _refusal(rejected: Rejected) -> ASGIApp:
    """RFC 6750 3: who sent no token is told the scheme alone."""
    challenge = "Bearer"
    if rejected.reason != "no_token":
        challenge += f', error="invalid_token", error_description="{rejected.reason}"'
    return error_response(401, rejected.reason, MESSAGES[rejected.reason], headers={"www-authenticate": challenge})
