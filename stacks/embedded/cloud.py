"""What a stand-in must be able to do, free of gRPC: check, compare, create, read, update, delete."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from stacks.embedded.store import Store, Stored
from stacks.wire import revealed


class CloudError(Exception):
    """A refusal in the words of the cloud that is stood in for: an error code, a colon, a sentence."""


@dataclass(frozen=True)
class Difference:
    """One property that differs between old and new inputs."""

    path: str  # as Pulumi writes property paths: tags["karpenter.sh/discovery"]
    kind: str  # ADD, DELETE or UPDATE


@dataclass(frozen=True)
class Change:
    """What differs between old and new inputs, and which of it replaces the resource."""

    differences: tuple[Difference, ...]
    replacing: frozenset[str] = frozenset()
    delete_first: bool = False  # the new one cannot stand beside the old one


class Cloud(ABC):
    """One package's resources. Inputs and outputs are plain data with UNKNOWN and Secret inside."""

    version: str  # the SDK's, which the engine wants the plugin to match
    place = ""  # the region or cluster that the provider is for

    def __init__(self, store: Store) -> None:
        self.store = store

    def configure(self, arguments: Mapping[str, Any]) -> None:  # noqa: B027 - not every package has arguments
        """Take the provider's arguments. Raises CloudError for those that cannot be."""

    @abstractmethod
    def check(
        self, type_: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], seed: bytes
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """The inputs with defaults, and property and reason for each that is not valid."""

    @abstractmethod
    def diff(self, type_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
        """What changes between two checked inputs."""

    @abstractmethod
    def create(self, type_: str, urn: str, inputs: Mapping[str, Any], *, preview: bool) -> tuple[str, dict[str, Any]]:
        """The id and outputs; in a preview no id, and outputs only as far as they are known."""

    def read(self, type_: str, identifier: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Inputs and outputs of what exists, or None."""
        row = self.store.get(type_, identifier, self.place)
        return (row.inputs, row.outputs) if row else None

    @abstractmethod
    def update(
        self, type_: str, identifier: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], *, preview: bool
    ) -> dict[str, Any]:
        """The outputs after a change in place; ``old`` are the outputs before it."""

    def delete(self, type_: str, identifier: str) -> None:
        """Delete; something that is gone already is no error. Raises CloudError for what is in use or protected."""
        row = self.store.get(type_, identifier, self.place)
        if row is not None:
            self.delete_stored(row)

    def delete_stored(self, row: Stored) -> None:
        """Delete what exists."""
        self.store.remove(row)

    def keep(
        self, type_: str, identifier: str, urn: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> Stored:
        """The row of a resource, in clear."""
        return Stored(type_, identifier, urn, revealed(dict(inputs)), revealed(dict(outputs)), self.place)


def differing(old: Any, new: Any, path: str = "") -> list[Difference]:
    """Every property at which two values differ; a list differs as a whole."""
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        before, after = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
        keys = sorted({*before, *after} - {"__defaults"})
        return [found for key in keys for found in differing(before.get(key), after.get(key), _joined(path, key))]
    if isinstance(old or new, dict) and (old is None or new is None):
        # A block that comes or goes: each of its properties counts, for one of them may replace the resource.
        inner = differing(old or {}, new or {}, path)
        if inner:
            return inner
    return [Difference(path, "ADD" if old is None else "DELETE" if new is None else "UPDATE")]


def under(path: str, fixed: Iterable[str]) -> bool:
    """Whether a property path is one of the fixed ones or lies inside one."""
    return any(path == entry or path.startswith((f"{entry}.", f"{entry}[")) for entry in fixed)


def _joined(path: str, key: str) -> str:
    if re.fullmatch(r"[A-Za-z_]\w*", key):
        return f"{path}.{key}" if path else key
    quoted = key.replace('"', '\\"')
    return f'{path}["{quoted}"]'
