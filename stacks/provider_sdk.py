"""What the pulumi_aws SDK says of a type: its properties, which are required, their types. Imported type by type."""

from __future__ import annotations

import importlib
import inspect
import sys
import types
import typing
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, cast

import pulumi
from pulumi import _types as sdk_types  # pyright: ignore[reportPrivateUsage] - the SDK's own map of wire names

from stacks.graph import UNKNOWN, Secret


@dataclass(frozen=True)
class Property:
    """An input property: whether it must be given, and the SDK's type for it."""

    required: bool
    type: Any


@cache
def properties(token: str) -> Mapping[str, Property]:
    """The input properties of a resource type by wire name. Raises LookupError for a type the SDK lacks."""
    return _of_class(_arguments(token))


def mismatches(token: str, inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Property path and reason for everything in the inputs that the SDK's types do not allow."""
    yield from _check_object(properties(token), inputs, "")


def paths(token: str) -> Iterator[str]:
    """Every input property of a resource type with those nested in it, dotted. Raises LookupError like properties."""
    yield from _paths(_arguments(token), "", ())


def _paths(arguments: type, prefix: str, above: tuple[type, ...]) -> Iterator[str]:
    for name, row in _of_class(arguments).items():
        yield f"{prefix}{name}"
        for inner in _nested(row.type):
            if inner not in above:  # a WebAcl's statements hold statements
                yield from _paths(inner, f"{prefix}{name}.", (*above, arguments))


def _nested(expected: Any) -> Iterator[type]:
    """The input classes that a property's type holds, in lists too."""
    for choice in _alternatives(expected):
        if sdk_types.is_input_type(choice):
            yield choice
        for argument in typing.get_args(choice):
            yield from _nested(argument)


def _arguments(token: str) -> type:
    package, module, name = token.split(":")
    folder = module.split("/")[0]
    try:
        path = f"pulumi_{package}" if folder == "index" else f"pulumi_{package}.{folder}"
        resource = getattr(importlib.import_module(path), name)
        own = sys.modules[resource.__module__]
        # Where a nested type has the name already, the SDK calls the resource's arguments InitArgs.
        return getattr(own, f"{name}InitArgs", None) or getattr(own, f"{name}Args")
    except (ImportError, AttributeError):
        raise LookupError(f"{token}: pulumi_{package} has no such type") from None


@cache
def _of_class(arguments: type) -> Mapping[str, Property]:
    names = sdk_types.input_type_py_to_pulumi_names(arguments)
    known = sdk_types.input_type_types(arguments)
    parameters = inspect.signature(arguments.__init__).parameters
    return {
        wire: Property(parameters[python].default is inspect.Parameter.empty, known.get(wire, Any))
        for python, wire in names.items()
    }


def _check_object(known: Mapping[str, Property], value: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        if key == "__defaults":
            continue
        if key not in known:
            yield f"{path}{key}", "an argument of this name is not expected here"
        elif item is not None:
            yield from _check(known[key].type, item, f"{path}{key}")
    for key, row in known.items():
        if row.required and value.get(key) is None:
            yield f"{path}{key}", "missing required property"


def _check(expected: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Secret):
        value = value.value
    if value is UNKNOWN or value is None:
        return
    choices = list(_alternatives(expected))
    fitting = [choice for choice in choices if _fits(choice, value)]
    if choices and not fitting:
        wanted = sorted({_called(choice) for choice in choices})
        yield path, f"expected {' or '.join(wanted)}, got {_called(type(value))}"
        return
    for choice in fitting[:1]:
        yield from _check_inside(choice, value, path)


def _check_inside(choice: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    arguments = typing.get_args(choice)
    if isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _check(arguments[0] if arguments else Any, item, f"{path}[{index}]")
    elif isinstance(value, dict) and sdk_types.is_input_type(choice):
        yield from _check_object(_of_class(choice), cast("dict[str, Any]", value), f"{path}.")
    elif isinstance(value, dict) and arguments:
        for key, item in cast("dict[str, Any]", value).items():
            yield from _check(arguments[1], item, f"{path}.{key}")


def _alternatives(expected: Any) -> Iterator[Any]:
    """The plain types in a union of plain, awaitable and output types; typed dictionaries stand beside their class."""
    if isinstance(expected, str) or expected is Any:
        return
    origin = typing.get_origin(expected)
    if origin in (typing.Union, types.UnionType):
        for choice in typing.get_args(expected):
            yield from _alternatives(choice)
    elif origin in (Awaitable, pulumi.Output) or expected is type(None) or typing.is_typeddict(expected):
        return
    else:
        yield expected


def _fits(choice: Any, value: Any) -> bool:
    origin = typing.get_origin(choice) or choice
    if origin is bool:
        # The provider reads the words too: launch templates declare booleans as strings.
        return isinstance(value, bool) or value in ("true", "false")
    if isinstance(value, bool):
        return False
    if origin in (int, float):
        return isinstance(value, (int, float))
    if origin is str or (isinstance(origin, type) and issubclass(origin, Enum)):
        return isinstance(value, str)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, dict)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return isinstance(value, list)
    return isinstance(value, dict)


def _called(kind: Any) -> str:
    origin = typing.get_origin(kind) or kind
    names: dict[Any, str] = {
        str: "string",
        bool: "boolean",
        int: "number",
        float: "number",
        dict: "object",
        list: "list",
    }
    if origin in names:
        return names[origin]
    if isinstance(origin, type) and issubclass(origin, Enum):
        return "string"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return "list"
    return "object"
