"""Tells who asks, by the token or the API key of a request."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping

from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from app.observability.metrics import Metrics
from app.runtime.database import Pool
from app.security.api_keys import PREFIX, ApiKeys
from app.security.caller import Caller
from app.security.issuer_keys import IssuerKeys
from app.security.rejections import CannotTell, Rejected
from app.security.sign_in_settings import SignInSettings
from app.security.tokens import SharedSecret, Tokens

# A token that was accepted is not checked again for so long: as long a revoked key or a withdrawn signature key works.
REMEMBERED_SECONDS = 30.0
MOST_REMEMBERED = 10_000


class SignIn:
    """One for each process. `keep_keys` is its background task."""

    def __init__(self, settings: SignInSettings, pool: Pool, metrics: Metrics) -> None:
        self._metrics = metrics
        self._api_keys = ApiKeys(pool)
        self._issuer = IssuerKeys(settings) if settings.auth_issuer and not settings.auth_secret_file else None
        keys = self._issuer or SharedSecret(settings)
        self._tokens = Tokens(settings, keys) if settings.auth_issuer else None
        self._remembered: dict[bytes, tuple[Caller, float]] = {}
        if self._issuer:
            metrics.sign_in_keys_age.set_function(lambda issuer=self._issuer: issuer.age_seconds or 0)

    async def keep_keys(self) -> None:
        if self._issuer:
            await self._issuer.refresh_forever()
        await asyncio.Event().wait()

    def reason_not_ready(self) -> str | None:
        """A process that never had the issuer's keys leaves tokens to those that may have them, and API keys with them."""
        if self._issuer and self._issuer.age_seconds is None:
            return "the issuer of tokens has given no keys yet"
        return None

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        """Raises Rejected or CannotTell."""
        given = _given(headers)
        digest = hashlib.sha256(given.encode(errors="surrogateescape")).digest()
        caller, until = self._remembered.get(digest, (None, 0.0))
        if caller is not None and time.time() < until:
            return caller
        caller = await self._checked(given)
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[digest] = caller, min(time.time() + REMEMBERED_SECONDS, caller.expires_at or float("inf"))
        return caller

    async def _checked(self, given: str) -> Caller:
        try:
            if given.startswith(PREFIX):
                return await self._api_keys.caller(given)
            if self._tokens is None:
                raise Rejected("malformed")
            return await self._tokens.caller(given)
        except Rejected as rejected:
            self._metrics.sign_ins_refused.labels(rejected.reason).inc()
            raise
        except (OperationalError, PoolTimeout, OSError) as failure:
            raise CannotTell from failure


def _given(headers: Mapping[str, str]) -> str:
    """A bearer token goes before a key: SDK clients send any key they find in their environment."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
    if not given:
        raise Rejected("no_token")
    return given
