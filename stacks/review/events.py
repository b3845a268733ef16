"""The engine's event stream of a preview (``pulumi preview --event-log FILE``) as changes and policy findings.

``pulumi preview --json`` would not do: it drops every policy event (pulumi pkg/backend/display/json.go).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from stacks.embedded.cloud import differing
from stacks.graph import UNKNOWN
from stacks.review.changes import Change, Operation, Property, component_of, value_at
from stacks.terminal import Exit, Refused

Json = dict[str, Any]

_STACK = "pulumi:pulumi:Stack"
# pulumi sdk/go/common/apitype/events.go, OpType. A refresh or read changes nothing here.
_REPLACING = {"replace", "create-replacement", "delete-replaced", "discard-replaced"}
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # sdk/go/common/resource/plugin/rpc.go, UnknownStringValue


@dataclass(frozen=True)
class Violation:
    """What the engine said of a policy."""

    policy: str
    level: str
    urn: str
    message: str


@dataclass(frozen=True)
class Preview:
    """A preview by the engine."""

    changes: list[Change]
    violations: list[Violation]
    policies_ran: bool


def read_events(path: Path) -> Preview:
    """The preview of a file of events. Raises Refused when there is none in it that came to its end."""
    try:
        events = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as failure:
        raise Refused(f"{path}: no events can be read from it ({failure}). Run the preview again.") from None
    return preview_of(events, str(path))


def preview_of(events: Iterable[Mapping[str, Any]], source: str) -> Preview:
    """The same for events at hand."""
    steps: dict[str, list[Json]] = {}
    violations: list[Violation] = []
    result, ran = "", False
    for event in events:
        if started := event.get("resourcePreEvent"):
            steps.setdefault(started["metadata"]["urn"], []).append(started["metadata"])
        elif finished := event.get("resOutputsEvent"):
            # A refresh tells only afterwards what it found.
            metadata = finished["metadata"]
            if steps.get(metadata["urn"], [{"op": "refresh"}])[0]["op"] == "refresh":
                steps[metadata["urn"]] = [metadata]
        elif found := event.get("policyEvent"):
            level = str(found.get("enforcementLevel"))
            urn, message = str(found.get("resourceUrn", "")), str(found.get("message", "")).strip()
            violations.append(Violation(str(found.get("policyName")), level, urn, message))
        elif "policyAnalyzeSummaryEvent" in event or "policyAnalyzeStackSummaryEvent" in event:
            ran = True
        elif summary := event.get("summaryEvent"):
            result = str(summary.get("result", ""))
    stopped = any(violation.level == "mandatory" for violation in violations)
    if result != "succeeded" and not (result and stopped):
        raise Refused(f"{source}: the preview did not come to its end ({result or 'no summary'}).", Exit.FAILED)
    return Preview(_changes(steps), violations, ran)


def _changes(steps: Mapping[str, list[Json]]) -> list[Change]:
    states = {urn: _first(rows, "new") or _first(rows, "old") for urn, rows in steps.items()}
    parents = {urn: str(state.get("parent", "")) for urn, state in states.items()}
    components = {
        urn: urn.rsplit("::", 1)[-1]
        for urn, state in states.items()
        if not state.get("custom") and state.get("type") != _STACK
    }
    return [
        _change(urn, rows, component_of(urn, parents, components))
        for urn, rows in steps.items()
        if rows[0]["type"] != _STACK
    ]


def _change(urn: str, rows: list[Json], component: str) -> Change:
    operations = [str(row["op"]) for row in rows]
    operation: Operation = "same"
    if _REPLACING & set(operations):
        operation = "replace"
    elif changing := set(operations) & {"create", "delete", "update"}:
        operation = cast("Operation", changing.pop())
    old, new = _first(rows, "old"), _first(rows, "new")
    state = old or new
    return Change(
        urn=urn,
        type=str(rows[0]["type"]),
        component=component,
        operation=operation,
        properties=_properties(operation, rows, old.get("inputs") or {}, new.get("inputs") or {}),
        protected=bool(state.get("protect")),
        retained=bool(state.get("retainOnDelete")),
        delete_first=operation == "replace" and operations[0] == "delete-replaced",
    )


def _properties(operation: Operation, rows: list[Json], before: Json, after: Json) -> tuple[Property, ...]:
    details = _first(rows, "detailedDiff")
    paths = {path: str(row.get("diffKind", "")).endswith("replace") for path, row in details.items()}
    if not paths and operation in ("update", "replace"):  # of providers and components the engine tells no details
        keys = {str(key) for row in rows for key in row.get("keys") or ()}
        paths = {row.path: row.path in keys for row in differing(before, after)}
    return tuple(
        Property(path, _plain(value_at(before, path)), _plain(value_at(after, path)), forces)
        for path, forces in sorted(paths.items())
    )


def _first(rows: list[Json], key: str) -> Json:
    """Of a replacement's several steps, the first that carries something."""
    nothing: Json = {}
    return next((cast("Json", row[key]) for row in rows if row.get(key)), nothing)


def _plain(value: Any) -> Any:
    """A value as graphs have it; the engine itself has put [secret] where a secret was."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("Json", value).items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    return UNKNOWN if value == _UNKNOWN else value
