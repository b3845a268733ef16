"""The aws stand-in: refuses what AWS would refuse, as far as rows and SDK tell, and remembers the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, cast

from stacks.embedded import ACCOUNT, sdk
from stacks.embedded.aws_types import TYPES, AwsType
from stacks.embedded.cloud import Change, CloudError, differing
from stacks.embedded.outputs import created
from stacks.embedded.store import Store, Stored
from stacks.graph import UNKNOWN
from stacks.wire import has_unknown, revealed


class Aws:
    """Everything in the rows of aws_types, in one account and one region."""

    version = version("pulumi-aws")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._region = ""
        self._tags: dict[str, str] = {}

    def configure(self, arguments: Mapping[str, Any]) -> None:
        allowed = _json(arguments.get("allowedAccountIds"), [])
        if allowed and ACCOUNT not in allowed:
            raise CloudError(
                f"AWS account ID not allowed: {ACCOUNT} (the embedded cloud's account is not among {', '.join(allowed)})"
            )
        self._region = str(arguments.get("region", "us-east-1"))
        self._tags = _json(arguments.get("defaultTags"), {}).get("tags", {})

    def check(
        self, type_: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], seed: bytes
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        try:
            row, failures = _row(type_), list(sdk.mismatches(type_, new))
        except (LookupError, CloudError) as error:
            return dict(new), [("", str(error))]
        inputs = dict(new)
        if row.name and inputs.get(row.name) is None:
            # Kept while the resource lives; a replacement is checked without old inputs and gets another name.
            suffix = hashlib.sha256(seed or urn.encode()).hexdigest()[:7]
            inputs[row.name] = old.get(row.name) or f"{urn.rsplit('::', 1)[-1]}-{suffix}"
            inputs["__defaults"] = [row.name]
        return inputs, failures

    def diff(self, type_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
        row = _row(type_)
        paths = {path: _replaces(row, path) for path in differing(revealed(old), revealed(new))}
        # With a name that people chose, the new one cannot stand beside the old one.
        named = bool(row.name) and row.name not in new.get("__defaults", []) and row.name not in paths
        singular = not row.name and "{h" not in row.id and "{uuid}" not in row.id and "{arn}" not in row.id
        return Change(paths, delete_first=any(paths.values()) and (named or singular))

    def create(self, type_: str, urn: str, inputs: Mapping[str, Any], *, preview: bool) -> tuple[str, dict[str, Any]]:
        row, known = _row(type_), revealed(dict(inputs))
        if preview:
            return "", self._with_tags({**inputs, **dict.fromkeys(_computed(row), UNKNOWN)})
        self._refuse_dangling(type_, row, known)
        number = self._store.next_generation(urn)
        identifier, computed = created(type_, urn.rsplit("::", 1)[-1], urn, known, self._region, number)
        if row.alone and self._store.get(type_, identifier) is not None:
            raise CloudError(f"{_kind(type_)}AlreadyExists: {_kind(type_)} {identifier} exists already")
        outputs = self._with_tags({**inputs, **computed})
        self._store.put(Stored(type_, identifier, urn, known, revealed(outputs)))
        return identifier, outputs

    def read(self, type_: str, identifier: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        row = self._store.get(type_, identifier)
        return (row.inputs, row.outputs) if row else None

    def update(
        self, type_: str, identifier: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], *, preview: bool
    ) -> dict[str, Any]:
        row = _row(type_)
        kept = {key: old[key] for key in _computed(row) if key in old}
        for key, template in row.outputs.items():
            if isinstance(template, dict) and isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
                kept[key] = {**new[key], **{part: old[key].get(part) for part in cast("dict[str, Any]", template)}}
        if row.counter:
            kept[row.counter] = UNKNOWN if preview else int(old[row.counter]) + 1
        outputs = self._with_tags({**new, **kept})
        if not preview:
            self._refuse_dangling(type_, row, revealed(dict(new)))
            if self._store.get(type_, identifier) is None:
                raise CloudError(f"{_kind(type_)}NotFound: {_kind(type_)} {identifier} does not exist")
            self._store.put(Stored(type_, identifier, urn, revealed(dict(new)), revealed(outputs)))
        return outputs

    def delete(self, type_: str, identifier: str, outputs: Mapping[str, Any]) -> None:
        stored, row = self._store.get(type_, identifier), _row(type_)
        if stored is None:
            return
        if row.protected and stored.inputs.get(row.protected):
            raise CloudError(
                f"InvalidParameterCombination: {_kind(type_)} {identifier} has {row.protected} on; switch it off first"
            )
        if type_ == "aws:rds/instance:Instance" and not (
            stored.inputs.get("skipFinalSnapshot") or stored.inputs.get("finalSnapshotIdentifier")
        ):
            raise CloudError(
                "InvalidParameterCombination: finalSnapshotIdentifier is required unless skipFinalSnapshot"
            )
        if type_ == "aws:s3/bucket:Bucket" and stored.outputs.get("objects") and not stored.inputs.get("forceDestroy"):
            raise CloudError(f"BucketNotEmpty: {identifier} holds objects and forceDestroy is off")
        user = self._first_user(stored)
        if user is not None:
            raise CloudError(
                f"DependencyViolation: {_kind(type_)} {identifier} has a dependent object: {_kind(user.type)} {user.id}"
            )
        self._store.remove(type_, identifier)

    def _with_tags(self, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "tagsAll": {**self._tags, **(values.get("tags") or {})}}

    def _refuse_dangling(self, type_: str, row: AwsType, inputs: Mapping[str, Any]) -> None:
        for path, value, target, attribute in _references(row, inputs):
            if has_unknown(value) or value in (None, ""):
                continue
            if not any(there.value(attribute) == value for there in self._store.all(target)):
                raise CloudError(
                    f"Invalid{_kind(target)}.NotFound: {_kind(type_)}.{path}: the {_kind(target)} '{value}' does not exist"
                )

    def _first_user(self, stored: Stored) -> Stored | None:
        pointing = {type_ for type_, row in TYPES.items() if f"{stored.type} " in " ".join(row.refers.values())}
        for candidate in self._store.all("aws:%"):
            if candidate.type not in pointing or candidate.id == stored.id:
                continue
            for _, value, target, attribute in _references(TYPES[candidate.type], candidate.inputs):
                if target == stored.type and value is not None and value == stored.value(attribute):
                    return candidate
        return None


def _row(type_: str) -> AwsType:
    if type_ not in TYPES:
        raise CloudError(
            f"{type_}: the embedded cloud has no row for this type. Add one to stacks/embedded/aws_types.py."
        )
    return TYPES[type_]


def _computed(row: AwsType) -> list[str]:
    return [key for key, template in row.outputs.items() if not isinstance(template, dict)]


def _replaces(row: AwsType, path: str) -> bool:
    return any(path == fixed or path.startswith((f"{fixed}.", f"{fixed}[")) for fixed in row.replaces.split())


def _references(row: AwsType, inputs: Mapping[str, Any]) -> Iterator[tuple[str, Any, str, str]]:
    for path, target in row.refers.items():
        type_, attribute = target.split(" ")
        for value in _at(inputs, path.split(".")):
            yield path, value, type_, attribute


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
