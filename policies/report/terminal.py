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
    told = found.of(Status.FAIL, Status.NOT_EVALUATED, Status.WAIVED)
    if told:
        table = Table("check", "verdict", "severity", "resource", "why and what to do")
        for verdict in sorted(told, key=lambda verdict: (list(COLOURS).index(verdict.status), verdict.check.id)):
            table.add_row(*_row(verdict))
        console.print(table)
    for waiver in found.unused_waivers:
        console.print(f"[yellow]a waiver covers nothing:[/] {escape(waiver.check)} on {escape(waiver.resource)}")
    counts = ", ".join(f"[{colour}]{len(found.of(status))} {status.value}[/]" for status, colour in COLOURS.items())
    console.print(f"stack {escape(found.graph.stack)}: {counts}")


def _row(verdict: Verdict) -> tuple[str, ...]:
    colour = COLOURS[verdict.status]
    status = f"[{colour}]{verdict.status.value}[/]" + (" (blocks)" if verdict.blocks else "")
    remedy = f" {verdict.check.remedy}" if verdict.status is Status.FAIL else ""
    name = verdict.urn.split("::")[-1]
    place = f" {verdict.place}" if verdict.place else ""
    return (
        verdict.check.id,
        status,
        verdict.check.severity,
        escape(name + place),
        escape(verdict.message + "." + remedy),
    )
