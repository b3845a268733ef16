"""The embedded cloud's memory: one SQLite file a stack, shared by the provider processes, kept between commands."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stacks.terminal import Exit, Refused

VERSION = 1
_TABLES = """
CREATE TABLE resources (
    type TEXT NOT NULL, id TEXT NOT NULL, urn TEXT NOT NULL, inputs TEXT NOT NULL, outputs TEXT NOT NULL,
    PRIMARY KEY (type, id)
);
CREATE TABLE generations (urn TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE faults (type TEXT NOT NULL, operation TEXT NOT NULL, after INTEGER NOT NULL);
"""


@dataclass(frozen=True)
class Stored:
    """One thing that exists in the embedded cloud."""

    type: str
    id: str
    urn: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]

    def value(self, attribute: str) -> Any:
        """An attribute by name: the id, an output, or an input."""
        return self.id if attribute == "id" else self.outputs.get(attribute, self.inputs.get(attribute))


class Store:
    """All resources of one embedded cloud. Every method is one transaction; a killed process leaves none half-done."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises Refused (Exit.STATE) for one that is damaged or newer; it is left as it is."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        with self._transaction() as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise Refused(
                    f"{path}: written by a newer version of this project (format {version}, this one knows {VERSION}). "
                    "Use that version, or remove the embedded cloud with make down.",
                    Exit.STATE,
                )
            if version == 0:
                for statement in filter(str.strip, _TABLES.split(";")):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        # A connection per transaction: providers answer from many threads.
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise Refused(
                f"{self.path}: this is not a readable embedded cloud ({error}). It is kept as it is: restore it, or "
                "move it away and run make down to begin anew.",
                Exit.STATE,
            ) from None
        finally:
            connection.close()

    def put(self, row: Stored) -> None:
        """Write a resource, new or changed."""
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?)",
                (row.type, row.id, row.urn, json.dumps(row.inputs), json.dumps(row.outputs)),
            )

    def remove(self, type_: str, identifier: str) -> None:
        """Forget a resource; one that is gone already is no error."""
        with self._transaction() as database:
            database.execute("DELETE FROM resources WHERE type = ? AND id = ?", (type_, identifier))

    def get(self, type_: str, identifier: str) -> Stored | None:
        """A resource by type and id."""
        with self._transaction() as database:
            row = database.execute(
                "SELECT type, id, urn, inputs, outputs FROM resources WHERE type = ? AND id = ?", (type_, identifier)
            ).fetchone()
        return _stored(row) if row else None

    def all(self, type_: str = "%") -> list[Stored]:
        """Every resource, or those whose type is like an SQL pattern."""
        with self._transaction() as database:
            rows = database.execute(
                "SELECT type, id, urn, inputs, outputs FROM resources WHERE type LIKE ? ORDER BY type, id", (type_,)
            ).fetchall()
        return [_stored(row) for row in rows]

    def next_generation(self, urn: str) -> int:
        """How many resources this URN had before; counts up, so that a replacement gets another id."""
        with self._transaction() as database:
            row = database.execute("SELECT number FROM generations WHERE urn = ?", (urn,)).fetchone()
            number = row[0] + 1 if row else 0
            database.execute("INSERT OR REPLACE INTO generations VALUES (?, ?)", (urn, number))
        return number

    def add_fault(self, type_: str, operation: str, *, after: bool) -> None:
        """Let the next operation on a type fail once, before or after it was done."""
        with self._transaction() as database:
            database.execute("INSERT INTO faults VALUES (?, ?, ?)", (type_, operation, int(after)))

    def take_fault(self, type_: str, operation: str, *, after: bool) -> bool:
        """Whether such a fault was waiting; it is used up."""
        with self._transaction() as database:
            cursor = database.execute(
                "DELETE FROM faults WHERE rowid = (SELECT rowid FROM faults WHERE type = ? AND operation = ? "
                "AND after = ? LIMIT 1)",
                (type_, operation, int(after)),
            )
            return cursor.rowcount > 0

    def drift(self, row: Stored, path: str, value: Any) -> Stored:
        """Change a property behind Pulumi's back, as somebody in a console would. ``path`` is dotted."""
        inputs, outputs = (json.loads(json.dumps(side)) for side in (row.inputs, row.outputs))
        for side in (inputs, outputs):
            target = side
            *parents, last = path.split(".")
            for part in parents:
                target = target.setdefault(part, {})
            target[last] = value
        changed = replace(row, inputs=inputs, outputs=outputs)
        self.put(changed)
        return changed


def _stored(row: tuple[str, str, str, str, str]) -> Stored:
    return Stored(row[0], row[1], row[2], json.loads(row[3]), json.loads(row[4]))
