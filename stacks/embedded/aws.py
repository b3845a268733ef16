"""The aws stand-in: refuses what AWS would refuse, as far as rows and SDK tell, and remembers the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from threading import Lock
from typing import Any, cast

from stacks import provider_sdk as sdk
from stacks.embedded import ACCOUNT
from stacks.embedded.aws_types import TYPES, AwsType
from stacks.embedded.cloud import Change, Cloud, CloudError, Difference, differing, under
from stacks.embedded.outputs import created
from stacks.embedded.store import Store, Stored
from stacks.graph import UNKNOWN
from stacks.wire import revealed


class Aws(Cloud):
    """Everything in the rows of aws_types, in one account and one region."""

    version = version("pulumi-aws")

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._tags: Any = {}
        self._creating = Lock()  # between the look for a name and the taking of it

    def configure(self, arguments: Mapping[str, Any]) -> None:
        allowed = _json(arguments.get("allowedAccountIds"), [])
        if allowed and ACCOUNT not in allowed:
            raise CloudError(
                f"AWS account ID not allowed: {ACCOUNT} (the embedded cloud's account is not among {', '.join(allowed)})"
            )
        self.place = str(arguments.get("region", "us-east-1"))
        self._tags = _json(arguments.get("defaultTags"), {}).get("tags") or {}

    def check(
        self, type_: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], seed: bytes
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        try:
            row, known, failures = _row(type_), sdk.properties(type_), list(sdk.mismatches(type_, new))
        except (LookupError, CloudError) as error:
            return dict(new), [("", str(error))]
        inputs = dict(new)
        if row.name and inputs.get(row.name) is None:
            # Kept while the resource lives; a replacement is checked without old inputs and gets another name.
            kept = old.get(row.name) if row.name in old.get("__defaults", []) else None
            inputs[row.name] = kept or _autoname(row, urn, inputs, seed)
            inputs["__defaults"] = [row.name]
        if "tags" in known and isinstance(inputs.get("tags", {}), dict):
            # An input, so that other default tags of the provider are an update of all that carries tags.
            inputs["tagsAll"] = {**self._tags, **(inputs.get("tags") or {})}
        return inputs, failures

    def diff(self, type_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
        row, before, after = _row(type_), revealed(dict(old)), revealed(dict(new))
        differences = tuple(differing(before, after))
        replacing = frozenset(found.path for found in differences if _replaces(row, found, before, after))
        return Change(differences, replacing, bool(replacing) and _in_the_way(row, before, after))

    def create(self, type_: str, urn: str, inputs: Mapping[str, Any], *, preview: bool) -> tuple[str, dict[str, Any]]:
        row, known = _row(type_), revealed(dict(inputs))
        if preview:
            return "", _completed(row, inputs, dict.fromkeys(row.outputs, UNKNOWN))
        self._refuse_dangling(type_, row, known)
        with self._creating:
            self._refuse_taken(type_, row, known)
            number = self.store.next_generation(urn)
            identifier, computed = created(type_, urn.rsplit("::", 1)[-1], urn, known, self.place, number)
            outputs = {**inputs, **computed}
            if not self.store.insert(self.keep(type_, identifier, urn, inputs, outputs)):
                raise CloudError(f"{_kind(type_)}AlreadyExists: {_kind(type_)} {identifier} exists already")
        return identifier, outputs

    def update(
        self, type_: str, identifier: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], *, preview: bool
    ) -> dict[str, Any]:
        row = _row(type_)
        outputs = _completed(row, new, old)
        if row.counter:
            outputs[row.counter] = UNKNOWN if preview else int(old[row.counter]) + 1
        if not preview:
            self._refuse_dangling(type_, row, revealed(dict(new)))
            if not self.store.put(self.keep(type_, identifier, urn, new, outputs)):
                raise CloudError(f"{_kind(type_)}NotFound: {_kind(type_)} {identifier} does not exist")
        return outputs

    def delete_stored(self, row: Stored) -> None:
        what, protected = f"{_kind(row.type)} {row.id}", _row(row.type).protected
        if protected and row.inputs.get(protected):
            raise CloudError(f"InvalidParameterCombination: {what} has {protected} on; switch it off first")
        if row.type == "aws:rds/instance:Instance" and not (
            row.inputs.get("skipFinalSnapshot") or row.inputs.get("finalSnapshotIdentifier")
        ):
            raise CloudError(
                "InvalidParameterCombination: finalSnapshotIdentifier is required unless skipFinalSnapshot"
            )
        user = self._first_user(row)
        if user is not None:
            raise CloudError(f"DependencyViolation: {what} has a dependent object: {_kind(user.type)} {user.id}")
        self.store.remove(row)
        if row.type == "aws:eks/cluster:Cluster":  # its objects go with it
            for inside in self.store.all():
                if inside.place == row.outputs["endpoint"]:
                    self.store.remove(inside)

    def _refuse_taken(self, type_: str, row: AwsType, inputs: Mapping[str, Any]) -> None:
        """A name that the id does not hold must be looked for; an id that is taken shows when it is written."""
        if not row.name or f"{{{row.name}}}" in row.id:
            return
        for there in self.store.all(type_):
            if there.place == self.place and there.value(row.name) == inputs[row.name]:
                raise CloudError(f"{_kind(type_)}AlreadyExists: {_kind(type_)} {inputs[row.name]} exists already")

    def _refuse_dangling(self, type_: str, row: AwsType, inputs: Mapping[str, Any]) -> None:
        for path, value, target, attribute in _references(row, inputs):
            if value in (None, "") or any(there.value(attribute) == value for there in self.store.all(target)):
                continue
            raise CloudError(
                f"Invalid{_kind(target)}.NotFound: {_kind(type_)}.{path}: the {_kind(target)} '{value}' does not exist"
            )

    def _first_user(self, stored: Stored) -> Stored | None:
        holding = [
            type_ for type_, row in TYPES.items() if any(_held_type(to) == stored.type for to in row.refers.values())
        ]
        for candidate in self.store.all(*holding) if holding else []:
            for _, value, target, attribute in _references(TYPES[candidate.type], candidate.inputs, held=True):
                if target == stored.type and value is not None and value == stored.value(attribute):
                    return candidate
        return None


def _autoname(row: AwsType, urn: str, inputs: Mapping[str, Any], seed: bytes) -> str:
    suffix = hashlib.sha256(seed or urn.encode()).hexdigest()[:7]
    prefix = revealed(inputs.get(f"{row.name}Prefix"))
    return f"{prefix}{suffix}" if isinstance(prefix, str) else f"{urn.rsplit('::', 1)[-1]}-{suffix}"


def _replaces(row: AwsType, found: Difference, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    for entry in row.replaces.split():
        path, _, when = entry.partition(":")
        if under(found.path, [path]):
            lowered = when == "lowered" and _version(new.get(path)) < _version(old.get(path))
            return not when or lowered or (when == "removed" and new.get(path) is None)
    return False


def _version(value: Any) -> list[int]:
    return [int(part) for part in str(value).split(".") if part.isdigit()]


def _in_the_way(row: AwsType, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the new resource would have the old one's name: one that people chose, or an id made of inputs alone."""
    if row.name:
        return row.name not in new.get("__defaults", []) and old.get(row.name) == new.get(row.name)
    try:
        return row.id.format_map(old) == row.id.format_map(new)
    except KeyError:  # the id has digits of its own
        return False


def _row(type_: str) -> AwsType:
    if type_ not in TYPES:
        raise CloudError(
            f"{type_}: the embedded cloud has no row for this type. Add one to stacks/embedded/aws_types.py."
        )
    return TYPES[type_]


def _completed(row: AwsType, inputs: Mapping[str, Any], computed: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs: inputs, and of the computed ones what no input gives; an input block is completed inside."""
    outputs = {key: computed[key] for key in row.outputs if key in computed} | dict(inputs)
    for key, template in row.outputs.items():
        block, whole = inputs.get(key), computed.get(key)
        if isinstance(template, dict) and isinstance(block, dict):
            parts = cast("dict[str, Any]", template)
            made = cast("dict[str, Any]", whole) if isinstance(whole, dict) else dict.fromkeys(parts, UNKNOWN)
            outputs[key] = {**cast("dict[str, Any]", block), **{part: made.get(part) for part in parts}}
    return outputs


def _references(row: AwsType, inputs: Mapping[str, Any], *, held: bool = False) -> Iterator[tuple[str, Any, str, str]]:
    for path, target in row.refers.items():
        type_, attribute = target.split(" ")[:2]
        for value in _at(inputs, path.split(".")) if _held_type(target) or not held else ():
            yield path, value, type_, attribute


def _held_type(target: str) -> str:
    return target.split(" ", 1)[0] if target.endswith(" held") else ""


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    if not path:
        yield value
    elif isinstance(value, dict):
        key, *rest = path
        inner = cast("dict[str, Any]", value).get(key.removesuffix("[]"))
        for item in cast("list[Any]", inner) if key.endswith("[]") and isinstance(inner, list) else [inner]:
            yield from _at(item, rest)


def _kind(type_: str) -> str:
    return type_.rsplit(":", 1)[-1]


def _json(value: Any, absent: Any) -> Any:
    """Provider arguments that are not strings arrive as JSON text."""
    return absent if value in (None, "", UNKNOWN) else json.loads(value) if isinstance(value, str) else value
