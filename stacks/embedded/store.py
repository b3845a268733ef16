"""The embedded cloud's memory: one SQLite file a stack, shared by the provider processes, kept between commands."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from stacks.terminal import Exit, Refused

VERSION = 1
_TABLES = """
CREATE TABLE resources (
    type TEXT NOT NULL, place TEXT NOT NULL, id TEXT NOT NULL, urn TEXT NOT NULL, inputs TEXT NOT NULL,
    outputs TEXT NOT NULL, PRIMARY KEY (type, place, id)
);
CREATE TABLE generations (urn TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE faults (type TEXT NOT NULL, operation TEXT NOT NULL, after INTEGER NOT NULL);
"""
_MAGIC = b"SQLite format 3\0"
_COLUMNS = "type, place, id, urn, inputs, outputs"


@dataclass(frozen=True)
class Stored:
    """One thing that exists in the embedded cloud."""

    type: str
    id: str
    urn: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    place: str = ""  # the region, or the cluster's address: the same id may exist once in each

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
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
        if head not in (b"", _MAGIC):  # SQLite itself takes some short files for new databases
            raise self._unreadable("file is not a database")
        with self._transaction(write=True) as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise Refused(
                    f"{path}: written by a newer version of this project (format {version}, this one knows {VERSION}). "
                    "Use that version, or move the file away and begin anew.",
                    Exit.STATE,
                )
            if version == 0:
                if database.execute("SELECT name FROM sqlite_master").fetchone():
                    raise self._unreadable("it holds the tables of another program")
                for statement in filter(str.strip, _TABLES.split(";")):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Generator[sqlite3.Connection]:
        # A connection per transaction: providers answer from many threads.
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            # A killed process loses nothing by it, a machine without power may; waiting for the disk doubled an up.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise Refused(f"{self.path}: another process has kept it for 30 s. Try again.", Exit.STATE) from None
            raise self._unreadable(str(error)) from None
        finally:
            connection.close()

    def _unreadable(self, reason: str) -> Refused:
        return Refused(
            f"{self.path}: this is not a readable embedded cloud ({reason}). It is kept as it is: restore it, or "
            "forget it with python -m stacks.embedded reset.",
            Exit.STATE,
        )

    def insert(self, row: Stored) -> bool:
        """Write a new resource; False, and nothing is written, when its id is taken."""
        with self._transaction(write=True) as database:
            return (
                database.execute("INSERT OR IGNORE INTO resources VALUES (?, ?, ?, ?, ?, ?)", _flat(row)).rowcount > 0
            )

    def put(self, row: Stored) -> bool:
        """Write a resource over what it was; False when it is gone."""
        with self._transaction(write=True) as database:
            return (
                database.execute(
                    "UPDATE resources SET urn = ?4, inputs = ?5, outputs = ?6 WHERE type = ?1 AND place = ?2 AND id = ?3",
                    _flat(row),
                ).rowcount
                > 0
            )

    def remove(self, row: Stored) -> None:
        """Forget a resource; one that is gone already is no error."""
        with self._transaction(write=True) as database:
            database.execute(
                "DELETE FROM resources WHERE type = ? AND place = ? AND id = ?", (row.type, row.place, row.id)
            )

    def get(self, type_: str, identifier: str, place: str = "") -> Stored | None:
        """A resource by type, id and place."""
        found = self._select("type = ? AND id = ? AND place = ?", type_, identifier, place)
        return found[0] if found else None

    def all(self, *types: str) -> list[Stored]:
        """Every resource, or those of some types."""
        return self._select(f"type IN ({', '.join('?' * len(types))})" if types else "1", *types)

    def of_urn(self, urn: str) -> list[Stored]:
        """What stands for a URN: nothing, one, or two in the middle of a replacement."""
        return self._select("urn = ?", urn)

    def _select(self, where: str, *values: str) -> list[Stored]:
        with self._transaction() as database:
            # ``where`` is one of the literals above, its values are bound.
            statement = f"SELECT {_COLUMNS} FROM resources WHERE {where} ORDER BY type, place, id"  # noqa: S608 - values are parameters
            return [_stored(row) for row in database.execute(statement, values)]

    def next_generation(self, urn: str) -> int:
        """How many resources this URN had before; counts up, so that a replacement gets another id."""
        with self._transaction(write=True) as database:
            row = database.execute("SELECT number FROM generations WHERE urn = ?", (urn,)).fetchone()
            number = row[0] + 1 if row else 0
            database.execute("INSERT OR REPLACE INTO generations VALUES (?, ?)", (urn, number))
        return number

    def add_fault(self, type_: str, operation: str, *, after: bool) -> None:
        """Let the next operation on a type fail once, before or after it was done."""
        with self._transaction(write=True) as database:
            database.execute("INSERT INTO faults VALUES (?, ?, ?)", (type_, operation, int(after)))

    def take_fault(self, type_: str, operation: str, *, after: bool) -> bool:
        """Whether such a fault was waiting; it is used up."""
        fault = (type_, operation, int(after))
        same = "type = ? AND operation = ? AND after = ?"
        with self._transaction() as database:  # nearly always there is none: do not wait for writers
            found = database.execute(f"SELECT rowid FROM faults WHERE {same}", fault).fetchone()  # noqa: S608 - a literal
        if not found:
            return False
        with self._transaction(write=True) as database:
            return database.execute("DELETE FROM faults WHERE rowid = ?", found).rowcount > 0

    def drift(self, row: Stored, path: str, value: Any) -> Stored:
        """Change a property behind Pulumi's back, as somebody in a console would. ``path`` is dotted.

        Raises TypeError where the path leads into something that is no object.
        """
        parts = path.split(".")
        changed = replace(row, inputs=_with(row.inputs, parts, value), outputs=_with(row.outputs, parts, value))
        self.put(changed)
        return changed


def _with(values: Any, parts: list[str], value: Any) -> Any:
    if not parts:
        return value
    if not isinstance(values, dict):
        raise TypeError(parts[0])
    inner = cast("dict[str, Any]", values)
    return {**inner, parts[0]: _with(inner.get(parts[0], {}), parts[1:], value)}


def _flat(row: Stored) -> tuple[str, ...]:
    return (row.type, row.place, row.id, row.urn, json.dumps(row.inputs), json.dumps(row.outputs))


def _stored(row: tuple[str, str, str, str, str, str]) -> Stored:
    type_, place, identifier, urn, inputs, outputs = row
    return Stored(type_, identifier, urn, json.loads(inputs), json.loads(outputs), place)
