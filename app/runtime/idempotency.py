"""A request sent again with its key gets the run that it got before; another request with that key is refused."""

from __future__ import annotations

import hashlib

import orjson

from app.runtime.problems import KeyReused
from app.runtime.run import NewRun, Run
from app.tables import runs
from app.tables.runs import Connection


async def accepted_before(connection: Connection, new: NewRun, digest: bytes) -> Run | None:
    """The run that the key belongs to. Raises KeyReused."""
    if new.idempotency_key is None:
        return None
    found = await runs.accepted_before(connection, new.caller, new.idempotency_key)
    if found is None:
        return None
    run, first_digest = found
    if first_digest != digest:
        raise KeyReused(
            f"Idempotency-Key {new.idempotency_key!r} belongs to another request (run {run.run_id}). Use a new key.",
            field="Idempotency-Key",
        )
    return run


def digest_of(new: NewRun) -> bytes:
    """Of all that makes two requests the same; nothing without a key."""
    if new.idempotency_key is None:
        return b""
    parts = [
        new.graph_id,
        new.assistant_id,
        new.strategy,
        new.priority,
        new.metadata,
        new.webhook,
        new.after_seconds,
        new.thread_ttl_seconds,
        None if new.thread_made_up else new.thread_id,
    ]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS) + new.request.encoded()).digest()
