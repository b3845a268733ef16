"""The random stand-in: ids for names. Passwords are refused, because their value would be in the state."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from stacks import provider_sdk as sdk
from stacks.embedded.cloud import Change, Cloud, differing
from stacks.embedded.outputs import created
from stacks.graph import UNKNOWN
from stacks.wire import revealed

RANDOM_ID = "random:index/randomId:RandomId"


class Random(Cloud):
    """RandomId: any change makes another."""

    version = version("pulumi-random")

    def check(
        self, type_: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], seed: bytes
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        if type_ == RANDOM_ID:
            return dict(new), list(sdk.mismatches(type_, new))
        reason = f"{type_} is not known here: pulumi-random is for names only, a secret's value would be in the state"
        return dict(new), [("", reason)]

    def diff(self, type_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
        differences = tuple(differing(revealed(dict(old)), revealed(dict(new))))
        return Change(differences, frozenset(found.path for found in differences))

    def create(self, type_: str, urn: str, inputs: Mapping[str, Any], *, preview: bool) -> tuple[str, dict[str, Any]]:
        if preview:
            return "", {**inputs, **dict.fromkeys(("hex", "dec", "b64Std", "b64Url"), UNKNOWN)}
        identifier, computed = created(type_, "", urn, revealed(dict(inputs)), "", self.store.next_generation(urn))
        outputs = {**inputs, **computed}
        self.store.insert(self.keep(type_, identifier, urn, inputs, outputs))
        return identifier, outputs

    def update(
        self, type_: str, identifier: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], *, preview: bool
    ) -> dict[str, Any]:
        return {**old, **new}
