"""What an audit row says, the hash that ties it to the row before, and how a broken chain is found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import orjson

Action = Literal["read", "run", "resume", "change", "delete", "export", "admin", "sign-in refused", "anchor"]


@dataclass(frozen=True)
class Entry:
    """Who did what to which object, and how it was answered. No user's words, and no name."""

    at: datetime
    tenant: str
    subject: UUID | None
    key_id: str | None
    action: Action
    operation: str
    object: str | None
    request_id: str | None
    status: int


@dataclass(frozen=True)
class Head:
    """A place in a chain, which stands for all rows up to it."""

    chain: str
    number: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.chain}:{self.number}:{self.hash.hex()}"

    @classmethod
    def read(cls, text: str) -> Head:
        chain, number, digest = text.rsplit(":", 2)
        return cls(chain, int(number), bytes.fromhex(digest))


@dataclass(frozen=True)
class Row:
    """An entry at its place."""

    head: Head
    entry: Entry


def appended(before: Head, entry: Entry) -> Row:
    """The row that follows `before`; a chain begins at number 0 with an empty hash."""
    number = before.number + 1
    said = orjson.dumps([before.chain, number, entry.at.astimezone(UTC).isoformat(), *_values(entry)])
    return Row(Head(before.chain, number, hashlib.sha256(before.hash + said).digest()), entry)


def beginning(chain: str) -> Head:
    return Head(chain, 0, b"")


def _values(entry: Entry) -> list[str | int | None]:
    subject = str(entry.subject) if entry.subject else None
    return [
        entry.tenant,
        subject,
        entry.key_id,
        entry.action,
        entry.operation,
        entry.object,
        entry.request_id,
        entry.status,
    ]


def anchors(entry: Entry) -> list[Head]:
    """The heads of other chains, as the process that wrote this entry saw them."""
    return [Head.read(text) for text in (entry.object or "").split()] if entry.action == "anchor" else []


class Broken(Exception):
    """A row that is not what was written, by its place."""


@dataclass
class Verified:
    """What was read, and which heads it says there are."""

    rows: int = 0
    heads: dict[str, Head] = field(default_factory=dict[str, Head])
    claimed: dict[Head, str] = field(default_factory=dict[Head, str])  # each with who says so


def verify(rows: Iterable[Row]) -> Verified:
    """Follows every chain from its first row. `rows` come by chain and number. Raises Broken for the first bad one."""
    found = Verified()
    for row in rows:
        head = row.head
        place = f"chain {head.chain}, row {head.number}"
        before = found.heads.get(head.chain, beginning(head.chain))
        if head.number != before.number + 1:
            raise Broken(f"{place}: follows row {before.number}. Rows between them were removed or put elsewhere.")
        if appended(before, row.entry).head != head:
            raise Broken(f"{place}: its hash is not that of its values and the row before. One of them was changed.")
        found.heads[head.chain] = head
        found.rows += 1
        for claimed in anchors(row.entry):
            found.claimed.setdefault(claimed, place)
    return found


def verify_heads(claimed: Iterable[tuple[Head, str]], hash_of: Callable[[str, int], bytes | None]) -> None:
    """Whether every head that was seen once is still there: chains cannot be cut short or written anew unnoticed."""
    for head, seen_by in sorted(claimed, key=lambda pair: (pair[0].chain, pair[0].number)):
        there = hash_of(head.chain, head.number)
        if there != head.hash:
            wrong = "is missing" if there is None else "was written anew"
            raise Broken(f"chain {head.chain}, row {head.number}: {wrong}; {seen_by} has seen it.")
