"""Where resources to be priced come from: a capture, a stack's outputs, a preview's events, a state export."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from stacks.cost.facts import AWS, VERSION, Billed, billed, facts_of, is_billed
from stacks.terminal import Refused

STEPS_WITH_NEW = ("create", "update", "same", "replace", "create-replacement", "refresh", "import", "read")


@dataclass(frozen=True)
class Found:
    """A stack's resources, and what they were before where the source tells: a preview does."""

    stack: str
    resources: list[Billed]
    before: list[Billed] | None = None


def read(text: str, source: str) -> Found:
    """Resources from any of the three documents, told apart by their form. Raises Refused for anything else."""
    document = _document(text, source)
    if isinstance(document, list):
        return _of_events(cast("list[Mapping[str, Any]]", document), source)
    if "deployment" in document:
        return _of_export(document, source)
    if "resources" in document and "version" in document:
        return _of_billing(document, source)
    rule = "is neither a billing output, nor a state export, nor an event stream"
    raise Refused(f"{source}: {rule}. Give what `pulumi stack output billing --json` printed.")


def _document(text: str, source: str) -> Any:
    """One JSON document, or the events of a stream, a line each."""
    if not text.strip():
        raise Refused(f"{source}: is empty. Give what `pulumi stack output billing --json` printed.")
    try:
        found = json.loads(text)
    except ValueError:
        return [event for line in text.splitlines() if (event := _event(line, source))]
    if isinstance(found, dict) and "sequence" in found:
        return [found]
    if not isinstance(found, dict):
        raise Refused(f"{source}: is JSON, but no object. Give what `pulumi stack output billing --json` printed.")
    return cast("dict[str, Any]", found)


def _event(line: str, source: str) -> Mapping[str, Any] | None:
    try:
        return cast("Mapping[str, Any]", json.loads(line)) if line.strip() else None
    except ValueError as failure:
        raise Refused(f"{source}: is neither JSON nor a stream of JSON lines ({failure}).") from None


def _of_billing(document: Mapping[str, Any], source: str) -> Found:
    if document["version"] != VERSION:
        remedy = "Run `pulumi up` with this checkout, or use the checkout that made it"
        raise Refused(f"{source}: version={document['version']}: this checkout reads version {VERSION}. {remedy}.")
    try:
        rows = [Billed(row["urn"], row["type"], row["region"], row["facts"]) for row in document["resources"]]
        return Found(str(document["environment"]), rows)
    except (KeyError, TypeError) as failure:
        raise Refused(f"{source}: is no billing output ({type(failure).__name__}: {failure}).") from None


def _of_export(document: Mapping[str, Any], source: str) -> Found:
    from policies.export import graph_of_export

    graph = graph_of_export(document, source)
    return Found(graph.stack, billed(graph))


def _of_events(events: list[Mapping[str, Any]], source: str) -> Found:
    """Both sides of each step. A preview must have been asked for unchanged resources too (``--show-sames``)."""
    before: dict[str, Mapping[str, Any]] = {}
    after: dict[str, Mapping[str, Any]] = {}
    ended = False
    for event in events:
        ended = ended or "summaryEvent" in event
        for urn, old, new in _states(event):
            if old:
                before.setdefault(urn, old)
            if new:
                after[urn] = new
    if not ended:
        raise Refused(f"{source}: the stream ends before its summary: what it leaves out would count as removed.")
    stack = next(iter({**before, **after}), ":").split("::")[0].rpartition(":")[2]
    return Found(stack, _billed(after.values()), _billed(before.values()))


def _states(event: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any] | None, Mapping[str, Any] | None]]:
    step = event.get("resourcePreEvent") or event.get("resOutputsEvent")
    if step:
        row = step["metadata"]
        yield row["urn"], row.get("old"), row.get("new") if row["op"] in STEPS_WITH_NEW else None


def _billed(states: Any) -> list[Billed]:
    rows = [cast("Mapping[str, Any]", state) for state in states]
    regions = {row["urn"]: str(_inputs(row).get("region") or "") for row in rows if row["type"] == AWS}
    home = next(iter(regions.values()), "")
    return [
        Billed(
            row["urn"],
            row["type"],
            str(_inputs(row).get("region") or regions.get(str(row.get("provider", "")).rpartition("::")[0]) or home),
            facts_of(row["type"], _inputs(row)),
        )
        for row in rows
        if row.get("custom") and is_billed(row["type"])
    ]


def _inputs(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", row.get("inputs") or {})
