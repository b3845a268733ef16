"""The keys an issuer publishes (RFC 7517): read again now and then, and for an unknown one. The last good ones stay."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import httpx
import jwt

from app.security.rejections import CannotTell, Rejected
from app.security.sign_in_settings import SignInSettings, safe_url

log = logging.getLogger(__name__)

REFRESH_SECONDS = 300.0
RETRY_SECONDS = 10.0
ASK_AGAIN_SECONDS = 10.0  # at most so often, whatever keys tokens name: they can be made up by the thousand
TIMEOUT_SECONDS = 5.0
MOST_BYTES = 1_000_000
SMALLEST_KEY = {"RS256": 2048, "ES256": 256}  # bits: RFC 7518 3.3 and 3.4
CURVE = "P-256"
DISCOVERY = "/.well-known/openid-configuration"  # OpenID Connect Discovery 1.0, 4


class IssuerKeys:
    """One for each process; `refresh_forever` is its background task."""

    def __init__(self, settings: SignInSettings) -> None:
        self._settings = settings
        self._keys: Mapping[str | None, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._asked_at = -ASK_AGAIN_SECONDS
        self._asking = asyncio.Lock()

    @property
    def age_seconds(self) -> float | None:
        """Since the issuer was last heard; None before the first time."""
        return None if self._read_at is None else time.monotonic() - self._read_at

    async def get(self, kid: str | None) -> jwt.PyJWK:
        found = self._find(kid)
        if found is None:
            await self._ask_again()
            found = self._find(kid)
        if found is None:
            raise Rejected("unknown_key") if self._keys else CannotTell
        return found

    async def refresh_forever(self) -> None:
        while True:
            async with self._asking:
                answered = await self._ask()
            await asyncio.sleep(REFRESH_SECONDS if answered else RETRY_SECONDS)

    def _find(self, kid: str | None) -> jwt.PyJWK | None:
        if kid is None and len(self._keys) == 1:  # an issuer of one key need not name it
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    async def _ask_again(self) -> None:
        async with self._asking:
            if time.monotonic() - self._asked_at >= ASK_AGAIN_SECONDS:
                await self._ask()

    async def _ask(self) -> bool:
        self._asked_at = time.monotonic()
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
                url = self._settings.auth_jwks_url or await self._discovered(client)
                found = _usable((await _json(client, url)).get("keys"), self._settings.auth_algorithm)
            if not found:
                raise ValueError(f"no key for {self._settings.auth_algorithm}")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as failure:
            log.warning("the issuer gave no keys", extra={"fields": {"error": type(failure).__name__}})
            return False
        self._keys = found
        self._read_at = time.monotonic()
        return True

    async def _discovered(self, client: httpx.AsyncClient) -> str:
        issuer = cast("str", self._settings.auth_issuer)
        document = await _json(client, issuer.rstrip("/") + DISCOVERY)
        if document.get("issuer") != issuer:
            raise ValueError("the discovery document is another issuer's")
        return safe_url(str(document.get("jwks_uri")))


async def _json(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    answer = (await client.get(url)).raise_for_status()
    if len(answer.content) > MOST_BYTES:
        raise ValueError("too large")
    document: object = answer.json()
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def _usable(published: object, algorithm: str) -> dict[str | None, jwt.PyJWK]:
    """Public signature keys of the algorithm by their ids; others, which an issuer may have too, are passed over."""
    found: dict[str | None, jwt.PyJWK] = {}
    for key in cast("Sequence[object]", published if isinstance(published, list) else []):
        if not isinstance(key, dict):
            continue
        entry = cast("dict[str, Any]", key)
        if entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm or "d" in entry:
            continue
        try:
            made = jwt.PyJWK(entry, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        # PyJWT takes any curve for ES256, and RSA keys of any size.
        if entry.get("crv", CURVE) == CURVE and made.key.key_size >= SMALLEST_KEY[algorithm]:
            found[entry.get("kid")] = made
    return found
