"""What the schemas of the pinned Kubernetes refuse. Custom kinds have none here; their CRDs judge elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast

import jsonschema
from jsonschema.validators import Draft202012Validator
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

from infra.versions import KUBERNETES
from stacks.graph import UNKNOWN, Secret
from stacks.wire import revealed

# kubernetes-validate's own function would take an older version's schemas silently.
_FOLDER = f"kubernetes-json-schema/v{KUBERNETES}.0-local-strict"


def problems(manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Property and reason for everything in an object that an API server would not take."""
    for field in ("apiVersion", "kind"):
        if not isinstance(manifest.get(field), str):
            yield field, "missing required property"
            return
    metadata: Any = revealed(manifest.get("metadata"))
    if metadata is not UNKNOWN and not (isinstance(metadata, dict) and metadata.get("name")):
        yield "metadata.name", "missing required property: name every object"
    validator = _validator(manifest["kind"], manifest["apiVersion"])
    if validator is None:
        return
    for error in validator.iter_errors(_without_unknown(revealed(manifest))):
        path = list(error.absolute_path)
        if error.validator == "required" and _only_unknown(error, _at(manifest, path)):
            continue
        shown = f"not valid by its schema ({error.validator})" if _has_secret(_at(manifest, path)) else error.message
        yield ".".join(str(part) for part in path), shown[:300]


@cache
def _validator(kind: str, api_version: str) -> Draft202012Validator | None:
    """The validator of a kind; reading the definitions for every object would take longer than the engine."""
    # The files are named like deployment-apps-v1: the group without its domain.
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    try:
        schema = schema_contents(f"{_FOLDER}/{kind.lower()}-{group}.json", KUBERNETES)
    except FileNotFoundError:
        return None
    return Draft202012Validator(schema, registry=_definitions())


@cache
def _definitions() -> Registry[Any]:
    return Resource[Any].from_contents(schema_contents(f"{_FOLDER}/_definitions.json", KUBERNETES)) @ Registry[Any]()


def _only_unknown(error: jsonschema.ValidationError, given: Any) -> bool:
    """Whether what is required was given, as a value that is not known yet. Only the message names the property."""
    missing = error.message.split("'")[1]
    return isinstance(given, Mapping) and revealed(cast("Mapping[str, Any]", given).get(missing)) is UNKNOWN


def _at(value: Any, path: list[Any]) -> Any:
    """The part of a manifest at a path; the nearest one around it where a secret or a moved list is in the way."""
    for part in path:
        try:
            value = value[part]
        except (LookupError, TypeError):
            return value
    return value


def _has_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_secret(item) for item in cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        return any(_has_secret(item) for item in cast("list[Any]", value))
    return isinstance(value, Secret)


def _without_unknown(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        # null is as good as absent to an API server.
        return {key: _without_unknown(item) for key, item in items if item is not UNKNOWN and item is not None}
    if isinstance(value, list):
        return [_without_unknown(item) for item in cast("list[Any]", value) if item is not UNKNOWN]
    return value
