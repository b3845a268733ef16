"""A run of the engine shown by its events: how far it is, what is under way, what failed and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from stacks.embedded.engine import Workspace, run
from stacks.terminal import Exit, Refused, errors
from tools.activity import Report, shown

# Past tense of the engine's operations (pulumi/pulumi sdk/go/common/apitype/events.go, OpType).
DONE = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "same": "unchanged",
    "replace": "replaced",
    "refresh": "refreshed",
    "import": "imported",
}
COLOUR_TAG = re.compile(r"<\{%[^%]*%\}>")  # the engine marks colours in its messages this way

EXPECTED_WARNING = re.compile(r"using pulumi-\S+ from \$PATH at ")  # that is how the embedded cloud's plugins are found


@dataclass
class Run:
    """What the events of one run have told so far."""

    what: str
    report: Report
    expected: int | None = None
    finished: Counter[str] = field(default_factory=Counter[str])
    under_way: dict[str, str] = field(default_factory=dict[str, str])
    failed: list[str] = field(default_factory=list[str])
    messages: list[str] = field(default_factory=list[str])
    changes: dict[str, int] = field(default_factory=dict[str, int])

    def take(self, event: Mapping[str, Any]) -> None:
        """Count one event in and show the new state."""
        if started := event.get("resourcePreEvent"):
            self._started(started["metadata"])
        elif finished := event.get("resOutputsEvent"):
            self._finished(finished["metadata"])
        elif failed := event.get("resOpFailedEvent"):
            self._failed(failed["metadata"])
        elif diagnostic := event.get("diagnosticEvent"):
            self._diagnostic(diagnostic)
        elif summary := event.get("summaryEvent"):
            self.changes = dict(summary.get("resourceChanges") or {})
        self.report(self.text(), sum(self.finished.values()), self.expected)

    def text(self) -> str:
        """One line: counts by state, and what is being worked on."""
        total = sum(self.finished.values())
        if not (total or self.under_way or self.failed):
            return f"{self.what}: starting"
        counted = f"{total} of {self.expected} resources" if self.expected else f"{total} resources"
        failed = f", {len(self.failed)} failed" if self.failed else ""
        current = list(self.under_way.values())
        more = f" and {len(current) - 2} more" if len(current) > 2 else ""
        return f"{self.what}: {counted}{failed}" + (f", now {', '.join(current[:2])}{more}" if current else "")

    def summary(self) -> str:
        """What the run did, by the engine's own count."""
        order = [*DONE, *sorted(set(self.changes) - set(DONE))]
        told = [f"{self.changes[name]} {DONE.get(name, name)}" for name in order if self.changes.get(name)]
        return ", ".join(told) or "nothing to do"

    def _started(self, metadata: Mapping[str, Any]) -> None:
        after: Mapping[str, Any] = metadata.get("new") or metadata.get("old") or {}
        if metadata["op"] != "same" and after.get("custom"):  # components last as long as what is in them
            self.under_way[metadata["urn"]] = short_name(metadata["urn"])

    def _finished(self, metadata: Mapping[str, Any]) -> None:
        self.under_way.pop(metadata["urn"], None)
        self.finished[metadata["op"]] += 1

    def _failed(self, metadata: Mapping[str, Any]) -> None:
        self.under_way.pop(metadata["urn"], None)
        self.failed.append(short_name(metadata["urn"]))

    def _diagnostic(self, diagnostic: Mapping[str, Any]) -> None:
        if diagnostic.get("severity") in ("error", "warning") and not diagnostic.get("ephemeral"):
            where = f"{short_name(diagnostic['urn'])}: " if diagnostic.get("urn") else ""
            message = COLOUR_TAG.sub("", diagnostic.get("message", "")).strip()
            if EXPECTED_WARNING.match(message):
                return
            self.messages.append(f"{diagnostic['severity']}: {where}{message}")


def run_shown(workspace: Workspace, arguments: Sequence[str], expected: int | None = None) -> Run:
    """Run the engine and show its progress. Refused, after its own words, when it does not succeed."""
    with shown(errors) as report:
        events = Run(f"pulumi {arguments[0]}", report, expected)
        completed = run(workspace, arguments, on_event=events.take)
    for message in events.messages:
        errors.print(Text(message), soft_wrap=True)
    if completed.code != 0:
        words = "see above" if events.messages else completed.stderr.strip()
        raise Refused(f"pulumi {arguments[0]} of {workspace.stack} did not succeed: {words}", Exit.FAILED)
    return events


def short_name(urn: str) -> str:
    """The type without its module path, and the name: `Cluster platform`."""
    kinds, _, name = urn.split("::", 2)[-1].partition("::")
    return f"{kinds.rsplit(':', 1)[-1]} {name}"
