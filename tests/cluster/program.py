"""The program's own objects on a server without an engine: captured, with the definitions of its releases, applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stacks.embedded.kubernetes import RELEASE
from stacks.graph import Graph, Resource
from stacks.wire import revealed
from tests.cluster.api import Manifest, until, without_null
from tests.cluster.control_plane import ControlPlane
from tests.cluster.custom_resources import of_release
from tests.environments import graph_of


def applied(server: ControlPlane, stack: str, changes: dict[str, Any] | None = None) -> Graph:
    """Apply every object of an environment in the program's order; its graph."""
    graph = graph_of(stack, changes, preview=False)
    for row in rows(graph):
        if row.type == RELEASE:
            for definition in of_release(server.definitions, row.inputs):
                server.api.apply(definition)
                until(lambda definition=definition: _established(server, definition), 30, "definition established")
        else:
            server.api.apply(manifest(row))
    return graph


def rows(graph: Graph) -> list[Resource]:
    """The cluster's resources, in order of registration."""
    return [row for row in graph if row.package == "kubernetes"]


def manifest(row: Resource) -> Manifest:
    """An object as it is sent to the server."""
    return without_null(revealed(dict(row.inputs)))


def of_kind(graph: Graph, kind: str) -> list[Manifest]:
    """The objects of a kind."""
    return [manifest(row) for row in rows(graph) if row.inputs.get("kind") == kind]


def named(graph: Graph, kind: str, name: str) -> Manifest:
    """One object by kind and name. Raises LookupError."""
    found = [row for row in of_kind(graph, kind) if row["metadata"]["name"] == name]
    if len(found) != 1:
        raise LookupError(f"{len(found)} objects {kind} {name}")
    return found[0]


def _established(server: ControlPlane, definition: Mapping[str, Any]) -> bool:
    live = server.api.get(definition) or {}
    conditions: list[dict[str, str]] = live.get("status", {}).get("conditions") or []
    return any(row["type"] == "Established" and row["status"] == "True" for row in conditions)
