"""Writes the audit log: one chain for each process, rows of one moment in one statement, each before its answer."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from app.runtime.database import Pool
from app.security.audit_chain import Action, Entry, Head, Row, appended, beginning
from app.security.caller import Caller
from app.tables import audit
from app.tables.audit import Subject

log = logging.getLogger(__name__)

ANCHOR_SECONDS = 60.0
BATCH = 500
UUID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass
class Note:
    """What only the code that serves a request knows of it."""

    action: Action | None = None
    object: str | None = None


noted: ContextVar[Note | None] = ContextVar("audit_note", default=None)


def note(action: Action | None = None, object: str | None = None) -> None:  # noqa: A002  the audit's own word
    """For the record of the request that is being served, if one is: several objects are all kept."""
    if (kept := noted.get()) is not None:
        kept.action = action or kept.action
        kept.object = f"{kept.object} {object}" if kept.object and object else object or kept.object


def concealed(subject: Subject | None, identifier: str | None) -> str | None:
    """An id that was made by chance is kept; one that anybody may have chosen can be a name."""
    if identifier is None or UUID_FORM.fullmatch(identifier):
        return identifier
    return f"hmac:{hmac.digest(subject.salt, identifier.encode(), 'sha256').hex()[:32]}" if subject else None


class Audit:
    """Rows that could not be written fail their requests: what was answered is on record."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._work = asyncio.Event()
        self._head: Head | None = None
        self._anchored: set[Head] = set()
        self._subjects: dict[tuple[str, str], Subject] = {}

    async def append(self, entry: Entry) -> None:
        """Returns when the entry is stored for good. Raises OperationalError, PoolTimeout."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, stored))
        self._work.set()
        await stored

    async def subject(self, caller: Caller) -> Subject:
        known = self._subjects.get((caller.tenant, caller.user))
        if known is None:
            async with self._pool.connection() as connection:
                known = await audit.subject(connection, caller, Subject(uuid4(), secrets.token_bytes(32)))
            self._subjects[caller.tenant, caller.user] = known
        return known

    def forget(self, caller: Caller) -> None:
        """Whose subject was deleted; other processes do within ANCHOR_SECONDS."""
        self._subjects.pop((caller.tenant, caller.user), None)

    async def write_forever(self) -> None:
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                while batch := self._waiting[:BATCH]:
                    del self._waiting[: len(batch)]
                    await self._write(batch)
        finally:
            self._log_head()

    async def anchor_forever(self) -> None:
        """Puts where chains end into a chain and the log: who cuts one short would have to change those too."""
        logged = None
        while True:
            await asyncio.sleep(ANCHOR_SECONDS)
            self._subjects.clear()  # one that was deleted is used no longer than this
            if self._head is not None and self._head != logged:
                self._log_head()
                logged = self._head
                try:
                    await self._anchor()
                except (OperationalError, PoolTimeout) as failure:
                    log.warning("audit not anchored", extra={"fields": {"error": type(failure).__name__}})

    async def _write(self, batch: list[tuple[Entry, asyncio.Future[None]]]) -> None:
        try:
            if self._head is None:
                # Times sort as texts; the rest tells processes apart that start at the same moment.
                chain = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}"
                self._head = beginning(chain)
                anchor = await self._anchor_entry()
                await self._store([anchor] if anchor else [])
            await self._store([entry for entry, _ in batch])
        except BaseException as failure:
            # Perhaps they were stored and only the answer was lost: this chain's end is unknown.
            self._head = None
            for _, stored in batch:
                if not stored.done():
                    stored.set_exception(failure if isinstance(failure, Exception) else asyncio.CancelledError())
            if not isinstance(failure, Exception):
                raise
        else:
            for _, stored in batch:
                if not stored.done():
                    stored.set_result(None)

    async def _store(self, entries: list[Entry]) -> None:
        if not entries or self._head is None:
            return
        head, rows = self._head, list[Row]()
        for entry in entries:
            rows.append(appended(head, entry))
            head = rows[-1].head
        async with self._pool.connection() as connection:
            await audit.append(connection, rows)
        self._head = head

    async def _anchor(self) -> None:
        if entry := await self._anchor_entry():
            await self.append(entry)

    async def _anchor_entry(self) -> Entry | None:
        """Where the other chains end now, those left out that stood there the last time too."""
        async with self._pool.connection() as connection:
            heads = await audit.heads(connection)
        own = self._head.chain if self._head else ""
        others = [head for head in heads if head.chain != own]
        new = [str(head) for head in others if head not in self._anchored]
        self._anchored = set(others)
        if not new:
            return None
        return Entry(datetime.now(UTC), "", None, None, "anchor", "anchor", " ".join(new), None, 0)

    def _log_head(self) -> None:
        if self._head is not None:
            log.info("audit head", extra={"fields": {"head": str(self._head)}})
