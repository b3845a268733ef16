"""A captured graph for people (a tree with counts) and for machines (JSON)."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from stacks.graph import UNKNOWN, Graph, Resource, Secret
from stacks.terminal import console

# What tells two resources of a kind apart, in the order in which it is looked for.
_TELLING = ("cidrBlock", "instanceClass", "nodeType", "version", "addonVersion", "chart", "serviceName", "name")


def print_tree(graph: Graph, *, stand_in_image: bool) -> None:
    """Components as branches with the number of resources below; then counts by package and the exports."""
    children: dict[str, list[Resource]] = defaultdict(list)
    for resource in graph:
        children[resource.parent].append(resource)
    root = next(resource.parent for resource in graph)
    total = sum(graph.counts().values())
    tree = Tree(f"[bold]{graph.stack}[/]  {total} resources, in process: no cloud was asked")
    for resource in children[root]:
        if resource.package != "pulumi":
            _grow(tree, resource, children)
    console.print(tree)
    console.print(_counts(graph))
    console.print(_exports(graph))
    if stand_in_image:
        console.print(
            "[yellow]service.image is not set[/]: a stand-in for this checkout is shown. "
            "Without an image, pulumi up builds the platform alone."
        )


def as_json(graph: Graph) -> str:
    """The graph as one JSON object: stack, preview, exports and resources with inputs and options."""
    rows = [
        {
            "urn": resource.urn,
            "type": resource.type,
            "name": resource.name,
            "parent": resource.parent,
            "inputs": _shown(resource.inputs),
            "dependencies": resource.dependencies,
            "protect": resource.options.protect,
            "retainOnDelete": resource.options.retain_on_delete,
            "provider": resource.options.provider,
        }
        for resource in graph
    ]
    document = {
        "stack": graph.stack,
        "preview": graph.preview,
        "exports": _shown(graph.exports),
        "resources": rows,
    }
    return json.dumps(document, indent=2, sort_keys=True)


def _grow(branch: Tree, resource: Resource, children: dict[str, list[Resource]]) -> None:
    marks = "  [magenta]protected[/]" if resource.options.protect else ""
    if resource.custom:
        branch.add(f"[cyan]{resource.kind}[/] {escape(resource.name)}[dim]{_telling(resource)}[/]{marks}")
        return
    below = children[resource.urn]
    inner = branch.add(f"[bold]{escape(resource.name)}[/] [dim]{resource.kind}, {_size(resource, children)}[/]{marks}")
    for child in below:
        _grow(inner, child, children)


def _size(resource: Resource, children: dict[str, list[Resource]]) -> int:
    return sum(1 if child.custom else _size(child, children) for child in children[resource.urn])


def _telling(resource: Resource) -> str:
    for key in _TELLING:
        value = resource.inputs.get(key)
        if isinstance(value, str) and value != resource.name:
            return "  " + escape(value)
    return ""


def _counts(graph: Graph) -> Table:
    table = Table("package", "types", "resources", title="Counts", title_justify="left", title_style="bold")
    by_package: dict[str, list[int]] = defaultdict(list)
    for type_, count in graph.counts().items():
        by_package[type_.split(":", 1)[0]].append(count)
    for package, counts in sorted(by_package.items()):
        table.add_row(package, str(len(counts)), str(sum(counts)))
    return table


def _exports(graph: Graph) -> Table:
    table = Table("output", "value", title="Outputs", title_justify="left", title_style="bold")
    for key, value in sorted(graph.exports.items()):
        table.add_row(key, escape(str(_shown(value))))
    return table


def _shown(value: Any) -> Any:
    """A value fit to print: unknowns and secrets say so."""
    if value is UNKNOWN:
        return "(known after apply)"
    if isinstance(value, Secret):
        return "[secret]"
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType] - JSON
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]  # pyright: ignore[reportUnknownVariableType] - JSON
    return value
