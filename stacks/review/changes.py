"""What happens to one resource, whatever told us: the plan in process or the engine's events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

Operation = Literal["create", "update", "replace", "delete", "same"]
# What reviewers must see first comes first.
OPERATIONS: Final[tuple[Operation, ...]] = ("delete", "replace", "update", "create", "same")
MARKS: Final[Mapping[Operation, str]] = {"create": "+", "update": "~", "replace": "±", "delete": "-", "same": "="}

_STEP = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.\[\]]+)')
ABSENT: Final = None


@dataclass(frozen=True)
class Property:
    """A property that differs, with both values as the graphs have them (UNKNOWN and Secret inside)."""

    path: str
    before: Any
    after: Any
    replaces: bool = False


@dataclass(frozen=True)
class Change:
    """A resource, what happens to it, and by which properties."""

    urn: str
    type: str
    component: str  # the outermost component that holds it
    operation: Operation
    properties: tuple[Property, ...] = ()
    protected: bool = False
    retained: bool = False  # a delete leaves it in the cloud
    delete_first: bool = False  # the old one goes before the new one comes

    @property
    def name(self) -> str:
        """The logical name."""
        return self.urn.rsplit("::", 1)[-1]

    @property
    def kind(self) -> str:
        """``Instance`` of ``aws:rds/instance:Instance``, with its service before it."""
        package, module, kind = self.type.split(":", 2)
        return f"{module.split('/')[0]}.{kind}" if package in ("aws", "kubernetes", "random") else kind


def in_order(changes: Iterable[Change]) -> list[Change]:
    """By operation, the worst first, then by component and name."""
    return sorted(changes, key=lambda change: (OPERATIONS.index(change.operation), change.component, change.urn))


def value_at(inputs: Mapping[str, Any], path: str) -> Any:
    """The value at a Pulumi property path (``tags["a.b"]``, ``rules[0].port``); ABSENT where there is none."""
    value: Any = inputs
    for quoted, index, name in _STEP.findall(path):
        if index:
            items = cast("list[Any]", value) if isinstance(value, list) else []
            value = items[int(index)] if int(index) < len(items) else ABSENT
        elif isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(name or quoted.replace('\\"', '"'))
        else:
            return ABSENT
    return value


def component_of(urn: str, parents: Mapping[str, str], components: Mapping[str, str]) -> str:
    """The name of the outermost component around a resource; ``parents`` and names of ``components`` are by URN."""
    outermost = components.get(urn, "")
    while urn := parents.get(urn, ""):
        outermost = components.get(urn, outermost)
    return outermost or "stack"


def innermost(row: Property) -> Property:
    """The one place inside a list or an object where two values differ, for people; the row itself for several."""
    before, after = row.before, row.after
    inside: list[tuple[str, Any, Any]] = []
    if (
        isinstance(before, list)
        and isinstance(after, list)
        and len(cast("list[Any]", before)) == len(cast("list[Any]", after))
    ):
        pairs = zip(cast("list[Any]", before), cast("list[Any]", after), strict=True)
        inside = [(f"[{number}]", old, new) for number, (old, new) in enumerate(pairs) if old != new]
    elif isinstance(before, dict) and isinstance(after, dict):
        old_, new_ = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
        keys = sorted({*old_, *new_})
        inside = [(f".{key}", old_.get(key), new_.get(key)) for key in keys if old_.get(key) != new_.get(key)]
    if len(inside) != 1:
        return row
    step, old, new = inside[0]
    return innermost(Property(row.path + step, old, new, row.replaces))
