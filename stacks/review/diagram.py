"""The components and what depends on what, as a Mermaid flowchart with the changed ones marked."""

from __future__ import annotations

from collections.abc import Iterable

from stacks.graph import Graph
from stacks.review.changes import OPERATIONS, Change, component_of

_COLOURS = {
    "delete": "fill:#fbd5d2,stroke:#b3261e",
    "replace": "fill:#fde4c8,stroke:#b35c00",
    "update": "fill:#fff6cc,stroke:#8a6d00",
    "create": "fill:#d5f2df,stroke:#12703c",
}


def mermaid(graph: Graph, changes: Iterable[Change]) -> str:
    """Boxes are outermost components, arrows go to what they need; only what a path does not show is drawn."""
    holder = _holders(graph)
    needs: dict[str, set[str]] = {name: set() for name in dict.fromkeys(holder.values())}
    for resource in graph:
        for urn in resource.dependencies:
            source, target = holder.get(resource.urn), holder.get(urn)
            if source and target and source != target:
                needs[source].add(target)
    worst: dict[str, str] = {}
    for change in changes:
        if change.operation != "same" and change.component != "stack":
            needs.setdefault(change.component, set())
            known = worst.get(change.component, "same")
            worst[change.component] = min(known, change.operation, key=list[str](OPERATIONS).index)
    ids = {name: f"n{number}" for number, name in enumerate(needs)}
    lines = ["flowchart LR"]
    lines += [f'  {ids[name]}["{name}"]' for name in needs]
    lines += [
        f"  {ids[name]} --> {ids[target]}" for name, targets in needs.items() for target in sorted(_direct(targets, needs))
    ]  # fmt: skip
    lines += [f"  style {ids[name]} {_COLOURS[operation]}" for name, operation in worst.items()]
    return "\n".join(lines)


def _holders(graph: Graph) -> dict[str, str]:
    parents = {row.urn: row.parent for row in graph}
    components = {row.urn: row.name for row in graph if not row.custom}
    found = {row.urn: component_of(row.urn, parents, components) for row in graph}
    return {urn: name for urn, name in found.items() if name != "stack"}


def _direct(targets: set[str], needs: dict[str, set[str]]) -> set[str]:
    """The targets that no other target leads to."""
    reached: set[str] = set()
    for target in targets:
        open_: list[str] = [*needs[target]]
        while open_:
            name = open_.pop()
            if name not in reached:
                reached.add(name)
                open_ += needs[name]
    return targets - reached
