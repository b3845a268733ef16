"""What the engine would do with a program over what stands, in process: the stand-ins of the embedded cloud are asked.

The program runs with the answers that a preview gets: an unchanged resource keeps its outputs, a new one's are unknown,
so a replacement reaches whatever refers to it as it does in the engine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from infra.settings import Settings
from stacks.capture import capture
from stacks.embedded.cloud import Cloud, differing
from stacks.embedded.kubernetes import diff_config
from stacks.embedded.provider import CLOUDS
from stacks.embedded.store import Store
from stacks.graph import Graph, Resource
from stacks.review.changes import Change, Operation, Property, component_of, value_at
from stacks.terminal import Exit, Refused

_PROVIDER = "pulumi:providers:"


def plan(standing: Graph, settings: Settings, stack: str) -> tuple[Graph, list[Change]]:
    """The graph of the settings over a graph that stands, and a change for each resource of either.

    Raises Refused for a resource that the provider would not take.
    """
    with tempfile.TemporaryDirectory() as folder:
        planner = _Planner(standing, Store(Path(folder, "none.sqlite")))
        graph = capture(settings, stack, answer=planner.answer)
    return graph, planner.finish(graph)


class _Planner:
    """Answers each registration and remembers what it decided."""

    def __init__(self, standing: Graph, store: Store) -> None:
        self._standing = {resource.urn: resource for resource in standing}
        self._store = store
        self._clouds: dict[tuple[bool, str], Cloud] = {}
        self._decided: dict[str, tuple[Operation, tuple[Property, ...], bool]] = {}
        self._old_urns: dict[str, str] = {}
        for resource in standing:
            self._configure(resource, new=False)

    def answer(self, resource: Resource) -> tuple[str, Mapping[str, Any]]:
        old = self._found(resource)
        if not resource.custom or resource.type.startswith(_PROVIDER):
            self._configure(resource, new=True)
            return self._plain(resource, old)
        cloud = self._clouds[True, resource.options.provider]
        before = self._checked(old) if old else {}
        after, failures = cloud.check(resource.type, resource.urn, before, _kept(resource, old), b"")
        if failures:
            reasons = "; ".join(": ".join(filter(None, failure)) for failure in failures)
            raise Refused(f"{resource.name}: the provider would refuse it: {reasons}", Exit.FAILED)
        if old is None:
            return self._created(resource, cloud, after, "create")
        found = cloud.diff(resource.type, before, after)
        moved = self._decided[resource.options.provider][0] == "replace"
        reasons = tuple(
            Property(
                row.path, value_at(before, row.path), value_at(after, row.path), moved or row.path in found.replacing
            )
            for row in found.differences
        )
        if found.replacing or moved:
            first = found.delete_first or resource.options.delete_before_replace
            return self._created(resource, cloud, after, "replace", reasons, delete_first=first)
        operation: Operation = "update" if reasons else "same"
        self._decided[resource.urn] = (operation, reasons, False)
        if operation == "same":
            return old.id, old.outputs
        return old.id, cloud.update(resource.type, old.id, resource.urn, old.outputs, after, preview=True)

    def finish(self, graph: Graph) -> list[Change]:
        """The changes in order of registration, and what is left of the old graph as deleted."""
        new = {resource.urn: resource for resource in graph}
        gone = [row for urn, row in self._standing.items() if urn not in new and urn not in self._old_urns.values()]
        everything = [*gone, *graph]
        parents = {row.urn: row.parent for row in everything}
        components = {row.urn: row.name for row in everything if not row.custom}
        changes: list[Change] = []
        for row in everything:
            operation, properties, first = self._decided.get(row.urn, ("delete", (), False))
            old = self._standing.get(self._old_urns.get(row.urn, row.urn))
            options = (old or row).options  # the engine asks what the state says
            component = component_of(row.urn, parents, components)
            changes.append(
                Change(
                    row.urn,
                    row.type,
                    component,
                    operation,
                    properties,
                    options.protect,
                    options.retain_on_delete,
                    first,
                )
            )
        return changes

    def _found(self, resource: Resource) -> Resource | None:
        for urn in (resource.urn, *resource.options.aliases):
            if urn in self._standing:
                self._old_urns[resource.urn] = urn
                return self._standing[urn]
        return None

    def _plain(self, resource: Resource, old: Resource | None) -> tuple[str, Mapping[str, Any]]:
        """A component or a provider: nothing in a cloud, but a provider's replacement takes everything with it."""
        if old is None:
            self._decided[resource.urn] = ("create", (), False)
            return "", resource.inputs
        replacing = diff_config(old.inputs, resource.inputs) if resource.type == f"{_PROVIDER}kubernetes" else []
        changed = tuple(
            Property(row.path, value_at(old.inputs, row.path), value_at(resource.inputs, row.path), row.path in replacing)
            for row in differing(dict(old.inputs), dict(resource.inputs))
        )  # fmt: skip
        operation: Operation = "replace" if replacing else "update" if changed else "same"
        self._decided[resource.urn] = (operation, changed, False)
        return ("" if replacing else old.id), resource.inputs

    def _created(
        self,
        resource: Resource,
        cloud: Cloud,
        inputs: dict[str, Any],
        operation: Operation,
        reasons: tuple[Property, ...] = (),
        *,
        delete_first: bool = False,
    ) -> tuple[str, Mapping[str, Any]]:
        self._decided[resource.urn] = (operation, reasons, delete_first)
        return cloud.create(resource.type, resource.urn, inputs, preview=True)

    def _checked(self, old: Resource) -> dict[str, Any]:
        inputs, _ = self._clouds[False, old.options.provider].check(old.type, old.urn, {}, old.inputs, b"")
        # A name that the provider made is what stands, not what it would make now.
        return inputs | {name: old.outputs[name] for name in inputs.get("__defaults", []) if name in old.outputs}

    def _configure(self, resource: Resource, *, new: bool) -> None:
        """The stand-in for a provider, with its arguments."""
        if resource.type.startswith(_PROVIDER):
            cloud = CLOUDS[resource.type.removeprefix(_PROVIDER)](self._store)
            cloud.configure(resource.inputs)
            self._clouds[new, resource.urn] = cloud


def _kept(resource: Resource, old: Resource | None) -> dict[str, Any]:
    """The inputs with the old values of what the program asks to ignore."""
    inputs = dict(resource.inputs)
    for path in resource.options.ignore_changes if old else ():
        *outer, last = path.split(".")
        holder = inputs
        for name in outer:
            holder[name] = dict(cast("dict[str, Any]", holder.get(name) or {}))
            holder = cast("dict[str, Any]", holder[name])
        before = value_at(old.inputs, path) if old else None
        if before is None:
            holder.pop(last, None)
        else:
            holder[last] = before
    return inputs
