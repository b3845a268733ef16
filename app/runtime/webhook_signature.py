"""Signatures of webhooks by Standard Webhooks 1 (standard-webhooks/standard-webhooks, spec/standard-webhooks.md).

HMAC-SHA256 over `id.timestamp.body`, in the headers webhook-id, webhook-timestamp and webhook-signature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)


def read_secrets(content: str) -> list[bytes]:
    """One a line, the newest first; each signs, so that receivers can change over. Raises ValueError."""
    found = list[bytes]()
    for line in content.split():
        try:
            secret = base64.b64decode(line.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise ValueError("is not whsec_ and base64") from None
        if len(secret) not in SECRET_BYTES:
            raise ValueError(f"holds a secret of {len(secret)} bytes, not of 24 to 64")
        found.append(secret)
    if not found:
        raise ValueError("is empty")
    return found


def key_of(secret: bytes, tenant: str) -> bytes:
    """A tenant's own key: one that knows its own cannot sign for another. Without tenants, the secret itself."""
    return hmac.digest(secret, b"webhooks of " + tenant.encode(), hashlib.sha256) if tenant else secret


def signature(keys: Iterable[bytes], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of webhook-signature."""
    signed = b"%s.%d.%s" % (webhook_id.encode(), timestamp, body)
    return " ".join(f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}" for key in keys)
