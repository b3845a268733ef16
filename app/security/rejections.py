"""Why somebody is not let in: a class of reasons for the caller and the metrics, never what was found."""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "no_token",
    "malformed",
    "wrong_algorithm",
    "unknown_key",
    "bad_signature",
    "expired",
    "not_yet_valid",
    "wrong_audience",
    "wrong_issuer",
    "incomplete",
    "revoked",
]

MESSAGES: dict[Reason, str] = {
    "no_token": "Send Authorization: Bearer with a token of the configured issuer, or x-api-key.",
    "malformed": "The token cannot be read. Send a JWT of the configured issuer, or an API key, unchanged.",
    "wrong_algorithm": "The token is signed by an algorithm that is not accepted here.",
    "unknown_key": "Nobody known here made this token or key. Sign in again.",
    "bad_signature": "The token's signature is wrong.",
    "expired": "The token has expired. Sign in again.",
    "not_yet_valid": "The token is not valid yet.",
    "wrong_audience": "The token was made for another service. Ask the issuer for one with this service's audience.",
    "wrong_issuer": "The token is of another issuer.",
    "incomplete": "The token lacks a claim that is needed here, such as user, tenant or expiry.",
    "revoked": "The API key was revoked.",
}


class Rejected(Exception):
    """Whoever asks is not let in."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class CannotTell(Exception):
    """The issuer's keys or the database are away, so nobody can be told from anybody."""
