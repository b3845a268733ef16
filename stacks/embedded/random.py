"""The random stand-in: ids for names. Passwords are refused, because their value would be in the state."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from stacks.embedded import sdk
from stacks.embedded.cloud import Change, differing
from stacks.embedded.outputs import created
from stacks.embedded.store import Store, Stored
from stacks.graph import UNKNOWN
from stacks.wire import revealed

RANDOM_ID = "random:index/randomId:RandomId"


class Random:
    """RandomId: any change makes another."""

    version = version("pulumi-random")

    def __init__(self, store: Store) -> None:
        self._store = store

    def configure(self, arguments: Mapping[str, Any]) -> None:
        del arguments  # there are none

    def check(
        self, type_: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], seed: bytes
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        del urn, old, seed
        if type_ != RANDOM_ID:
            reason = (
                f"{type_} is not known here: pulumi-random is for names only, a secret's value would be in the state"
            )
            return dict(new), [("", reason)]
        return dict(new), list(sdk.mismatches(type_, new))

    def diff(self, type_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
        del type_
        differences = tuple(differing(revealed(dict(old)), revealed(dict(new))))
        return Change(differences, frozenset(found.path for found in differences))

    def create(self, type_: str, urn: str, inputs: Mapping[str, Any], *, preview: bool) -> tuple[str, dict[str, Any]]:
        if preview:
            return "", {**inputs, **dict.fromkeys(("hex", "dec", "b64Std", "b64Url"), UNKNOWN)}
        number = self._store.next_generation(urn)
        identifier, computed = created(type_, "", urn, revealed(dict(inputs)), "", number)
        outputs = {**inputs, **computed}
        self._store.insert(Stored(type_, identifier, urn, revealed(dict(inputs)), revealed(outputs)))
        return identifier, outputs

    def read(self, type_: str, identifier: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        row = self._store.get(type_, identifier)
        return (row.inputs, row.outputs) if row else None

    def update(
        self, type_: str, identifier: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], *, preview: bool
    ) -> dict[str, Any]:
        del type_, identifier, urn, preview
        return {**old, **new}

    def delete(self, type_: str, identifier: str) -> None:
        row = self._store.get(type_, identifier)
        if row is not None:
            self._store.remove(row)
