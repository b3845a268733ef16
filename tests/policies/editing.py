"""Graphs with one thing changed: a property of a resource, a resource left out, a resource put in."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any, cast

from stacks.graph import UNKNOWN, Graph, Resource

STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def changed(graph: Graph, urn: str, path: str, value: Any) -> Graph:
    """The graph with a value at a path of a resource's inputs; JSON texts on the way are opened and closed again."""

    def edit(found: Resource) -> Resource:
        inputs = copy.deepcopy(dict(found.inputs))
        steps = [name or int(index) for name, index in STEP.findall(path)]
        return dataclasses.replace(found, inputs=_set(inputs, steps, value))

    return edited(graph, urn, edit)


def edited(graph: Graph, urn: str, edit: Callable[[Resource], Resource]) -> Graph:
    return dataclasses.replace(graph, resources=tuple(edit(r) if r.urn == urn else r for r in graph))


def without(graph: Graph, *types: str) -> Graph:
    """The graph without the resources of some types."""
    return dataclasses.replace(graph, resources=tuple(r for r in graph if r.type not in types))


def added(graph: Graph, *resources: Resource) -> Graph:
    return dataclasses.replace(graph, resources=(*graph.resources, *resources))


def _set(holder: Any, steps: list[str | int], value: Any) -> Any:
    if not steps:
        return value
    if isinstance(holder, str):
        inside = _set(json.loads(holder), steps, value)
        # A text with something unknown in it is unknown as a whole, as Pulumi's outputs are.
        return UNKNOWN if UNKNOWN in _leaves(inside) else json.dumps(inside)
    step, *rest = steps
    if isinstance(step, int):
        items = list(cast("list[Any]", holder))
        items[step] = _set(items[step], rest, value)
        return items
    found = dict(cast("dict[str, Any]", holder or {}))
    found[step] = _set(found.get(step), rest, value)
    return found


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        return [leaf for item in cast("list[Any]", value) for leaf in _leaves(item)]
    return [value]
