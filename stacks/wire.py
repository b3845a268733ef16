"""Pulumi's wire values as plain data and back: unknowns, secrets, whole numbers.

Constants: pulumi/pulumi sdk/python/lib/pulumi/runtime/rpc.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from google.protobuf import json_format, struct_pb2

from stacks.graph import UNKNOWN, Secret

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker on the wire
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def decode(struct: struct_pb2.Struct) -> dict[str, Any]:
    """A wire struct as plain data, with UNKNOWN and Secret where they stand."""
    return cast("dict[str, Any]", _plain(json_format.MessageToDict(struct)))


def encode(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Plain data as a wire struct."""
    struct = struct_pb2.Struct()
    struct.update(_wired(dict(values)))
    return struct


def revealed(value: Any) -> Any:
    """The value with every Secret replaced by what it holds: for the store and for comparisons, never for output."""
    if isinstance(value, Secret):
        return revealed(value.value)
    if isinstance(value, dict):
        return {key: revealed(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [revealed(item) for item in cast("list[Any]", value)]
    return value


def has_unknown(value: Any) -> bool:
    """Whether any part of a value is unknown."""
    value = revealed(value)
    if isinstance(value, dict):
        return any(has_unknown(item) for item in cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in cast("list[Any]", value))
    return value is UNKNOWN


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        signature = mapping.get(_SIGNATURE)
        if signature == _SECRET:
            return Secret(_plain(mapping.get("value")))
        if signature == _OUTPUT:
            inner = _plain(mapping["value"]) if "value" in mapping else UNKNOWN
            return Secret(inner) if mapping.get("secret") else inner
        return {key: _plain(item) for key, item in mapping.items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    if value == _UNKNOWN:
        return UNKNOWN
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _wired(value: Any) -> Any:
    if value is UNKNOWN:
        return _UNKNOWN
    if isinstance(value, Secret):
        return {_SIGNATURE: _SECRET, "value": _wired(value.value)}
    if isinstance(value, dict):
        return {key: _wired(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_wired(item) for item in cast("list[Any]", value)]
    return value
