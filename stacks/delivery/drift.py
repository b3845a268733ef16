"""Drift: what somebody changed beside the program, told apart from a look that was not possible."""

from __future__ import annotations

from dataclasses import dataclass

from stacks.delivery.target import Target
from stacks.embedded.engine import Event
from stacks.review.changes import MARKS, Change
from stacks.review.events import preview_of
from stacks.review.markdown import code
from stacks.terminal import Exit, Refused

_MOST = 100


@dataclass(frozen=True)
class Look:
    """What a refresh saw: changes, or why it saw nothing."""

    stack: str
    drifted: tuple[Change, ...] = ()
    unseen: str = ""

    @property
    def code(self) -> Exit:
        """0: as the program says; 1: drift; 3: could not look."""
        return Exit.MISSING if self.unseen else Exit.FAILED if self.drifted else Exit.OK

    def text(self) -> str:
        if self.unseen:
            return f"Could not look at {self.stack}: whether there is drift is not known.\n\n    {self.unseen}\n"
        if not self.drifted:
            return f"{self.stack} is as its state says.\n"
        rows = [
            f"| {MARKS[row.operation]} {row.operation} | {code(row.kind + ' ' + row.name)} "
            f"| {', '.join(code(found.path) for found in row.properties)} |"
            for row in self.drifted[:_MOST]
        ]
        more = f"\n… {len(self.drifted) - _MOST} more.\n" if len(self.drifted) > _MOST else ""
        lines = ["| | resource | properties |", "|---|---|---|", *rows]
        return (
            f"{len(self.drifted)} resources of {self.stack} are not as its state says.\n\n"
            + "\n".join(lines)
            + more
            + "\n"
        )


def look(target: Target) -> Look:
    """Refresh in preview: nothing is written, neither to the cloud nor to the state."""
    events: list[Event] = []
    done = target.run(["refresh", "--preview-only"], events)
    try:
        found = preview_of(events, "refresh")
    except Refused as refusal:
        return Look(target.stack, unseen=" ".join(f"{refusal} {done.stderr[-300:]}".split()))
    return Look(target.stack, tuple(row for row in found.changes if row.operation != "same"))
