"""The assessment as a table: what failed first, then what could not be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from policies.check import Status, Verdict
from stacks.terminal import console

if TYPE_CHECKING:
    from policies.command import Assessment

COLOURS = {
    Status.FAIL: "red",
    Status.NOT_EVALUATED: "yellow",
    Status.WAIVED: "blue",
    Status.PASS: "green",
    Status.NOT_APPLICABLE: "dim",
}


def show(found: Assessment) -> None:
    """Prints what is not simply passed, and the counts."""
    told: dict[tuple[Status, str, str], list[Verdict]] = {}
    for verdict in found.of(Status.FAIL, Status.NOT_EVALUATED, Status.WAIVED):
        told.setdefault((verdict.status, verdict.check.id, verdict.message), []).append(verdict)
    if told:
        table = Table("check", "verdict", "severity", "resources", "why and what to do")
        for key in sorted(told, key=lambda key: (list(COLOURS).index(key[0]), *key[1:])):
            table.add_row(*_row(told[key]))
        console.print(table)
    for waiver in found.unused_waivers:
        console.print(f"[yellow]a waiver covers nothing:[/] {escape(waiver.check)} on {escape(waiver.resource)}")
    counts = ", ".join(f"[{colour}]{len(found.of(status))} {status.value}[/]" for status, colour in COLOURS.items())
    console.print(f"stack {escape(found.graph.stack)}: {counts}")


def _row(verdicts: list[Verdict]) -> tuple[str, ...]:
    first = verdicts[0]
    status = f"[{COLOURS[first.status]}]{first.status.value}[/]" + (" (blocks)" if first.blocks else "")
    remedy = f" {first.check.remedy}" if first.status is Status.FAIL else ""
    names = ", ".join(verdict.urn.split("::")[-1] for verdict in verdicts)
    return first.check.id, status, first.check.severity, escape(names), escape(f"{first.message}.{remedy}")
