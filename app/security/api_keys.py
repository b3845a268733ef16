"""API keys of programs: `lgk_<id>_<secret>`, of which only the hash is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING, cast

from app.security.caller import Caller, Scope
from app.security.rejections import Rejected
from app.tables import api_keys

if TYPE_CHECKING:
    from app.runtime.database import Pool

PREFIX = "lgk_"  # so that scanners of repositories find a leaked one
_KEY = re.compile(r"lgk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_OF_NOBODY = bytes(32)


def new_key() -> tuple[str, str, bytes]:
    """Its id, the key itself, which nobody can show again, and its hash. SHA-256 is enough for 256 random bits."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return key_id, f"{PREFIX}{key_id}_{secret}", _hash(secret)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


class ApiKeys:
    """Looks keys up by their id; secrets are compared in constant time, also when there is none to compare with."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def caller(self, key: str) -> Caller:
        """Raises Rejected."""
        parts = _KEY.fullmatch(key)
        if parts is None:
            raise Rejected("malformed")
        key_id, secret = parts.groups()
        async with self._pool.connection() as connection:
            row = await api_keys.find(connection, key_id)
            kept = bytes(row["secret_hash"]) if row else _OF_NOBODY
            if not hmac.compare_digest(_hash(secret), kept) or row is None:
                raise Rejected("unknown_key")
            if row["state"] != "usable":
                raise Rejected("revoked" if row["state"] == "revoked" else "expired")
            if row["to_note"]:
                await api_keys.note_use(connection, key_id)
        scopes = frozenset(cast("list[Scope]", row["scopes"]))
        return Caller(row["tenant"], row["owner"], scopes, row["expires_at"], key_id)
