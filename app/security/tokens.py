"""JWTs: signature, issuer, audience and times by PyJWT, with the algorithm of the settings; and what claims mean here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

import jwt

from app.security.caller import Caller, Scope, is_name
from app.security.rejections import Reason, Rejected
from app.security.sign_in_settings import SignInSettings

LONGEST_TOKEN = 16_384  # characters

REASONS: tuple[tuple[type[jwt.PyJWTError], Reason], ...] = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "not_yet_valid"),
    (jwt.InvalidAudienceError, "wrong_audience"),
    (jwt.InvalidIssuerError, "wrong_issuer"),
    (jwt.MissingRequiredClaimError, "incomplete"),
    (jwt.InvalidSignatureError, "bad_signature"),
)
# What PyJWT lets through of JSON that is no token: nesting beyond Python's stack, an exp of Infinity or of a list.
UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class Keys(Protocol):
    """Where the keys are that tokens are signed with."""

    async def get(self, kid: str | None) -> Any:
        """Raises Rejected for a key nobody has, CannotTell when none are known."""
        ...


class SharedSecret:
    """One HS256 secret, read again for every token: a changed file is followed."""

    def __init__(self, settings: SignInSettings) -> None:
        self._file = settings.auth_secret_file

    async def get(self, kid: str | None) -> bytes:
        if self._file is None:
            raise Rejected("unknown_key")
        return self._file.read_bytes().strip()


class Tokens:
    """Accepts tokens of one issuer."""

    def __init__(self, settings: SignInSettings, keys: Keys) -> None:
        self._settings = settings
        self._keys = keys
        self._scopes = [pair.rpartition("=")[::2] for pair in settings.auth_scope_names]

    async def caller(self, token: str) -> Caller:
        """Raises Rejected."""
        claims = await self._claims(token)
        settings = self._settings
        return Caller(
            tenant=_name(claims, settings.auth_tenant_claim) if settings.auth_tenant_claim else "",
            user=_name(claims, settings.auth_user_claim),
            scopes=self._granted(_claim(claims, settings.auth_scopes_claim)),
            expires_at=claims["exp"] + settings.auth_leeway_seconds,
        )

    async def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > LONGEST_TOKEN:
            raise Rejected("malformed")
        try:
            header = jwt.get_unverified_header(token)
        except UNREADABLE:
            raise Rejected("malformed") from None
        if header.get("alg") != self._settings.auth_algorithm:
            raise Rejected("wrong_algorithm")
        key = await self._keys.get(header.get("kid"))
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[self._settings.auth_algorithm],
                issuer=self._settings.auth_issuer,
                audience=self._settings.auth_audience,
                leeway=self._settings.auth_leeway_seconds,
                options={"require": ["exp", "iss", "aud"]},
            )
            return claims | {"exp": float(claims["exp"])}  # PyJWT takes digits in a string, and any number of digits
        except UNREADABLE as failure:
            reasons: list[Reason] = [reason for kind, reason in REASONS if isinstance(failure, kind)]
            raise Rejected(reasons[0] if reasons else "malformed") from None

    def _granted(self, claimed: object) -> frozenset[Scope]:
        """By a list of names or, as OAuth has it, names separated by spaces."""
        names: object = claimed.split() if isinstance(claimed, str) else claimed
        known = cast("list[object]", names) if isinstance(names, list) else []
        mapped = {scope for name, scope in self._scopes if name in known}
        return frozenset(cast("set[Scope]", mapped)) | frozenset(self._settings.auth_default_scopes)


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """By its name, which may have dots (https://example.com/tenant), or by its path (realm_access.roles)."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = cast("Mapping[str, Any]", found).get(part) if isinstance(found, dict) else None
    return found


def _name(claims: Mapping[str, Any], name: str) -> str:
    found = _claim(claims, name)
    if not (isinstance(found, str) and is_name(found)):
        raise Rejected("incomplete")
    return found
