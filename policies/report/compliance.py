"""The compliance page: framework × control × status × resources × evidence, to read and to print."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, get_args

from policies.check import Framework, Status, Verdict
from policies.report.documents import name
from stacks.html_page import Cell, Section, page

if TYPE_CHECKING:
    from policies.command import Assessment

TONES = {
    Status.PASS: "good",
    Status.FAIL: "bad",
    Status.NOT_EVALUATED: "unsure",
    Status.WAIVED: "unsure",
    Status.NOT_APPLICABLE: "quiet",
}
WORST = (Status.FAIL, Status.NOT_EVALUATED, Status.WAIVED, Status.PASS, Status.NOT_APPLICABLE)
MOST_NAMES = 8


def compliance(found: Assessment, today: date) -> str:
    """One page: how many verdicts of each kind, then a table for each framework."""
    tiles = [Cell(str(len(found.of(status))), TONES[status], status.value) for status in Status]
    sections = [_section(framework, found.verdicts) for framework in get_args(Framework)]
    subtitle = (
        f"Stack {found.graph.stack}, assessed on {today}. A control counts as met when no check mapped to it fails and"
        " all of them could see what they need; what no check here can see is no part of this page."
    )
    return page(f"Compliance of {found.graph.stack}", subtitle, tiles, sections)


def by_control(framework: Framework, verdicts: Iterable[Verdict]) -> dict[str, list[Verdict]]:
    """The verdicts of the checks that are mapped to each control of a framework."""
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        for control in verdict.check.controls.get(framework, ()):
            found.setdefault(control, []).append(verdict)
    return dict(sorted(found.items(), key=lambda item: [part.zfill(4) for part in item[0].split(".")]))


def worst(verdicts: Iterable[Verdict]) -> Status:
    return min((verdict.status for verdict in verdicts), key=WORST.index)


def _section(framework: Framework, verdicts: list[Verdict]) -> Section:
    controls = by_control(framework, verdicts)
    met = sum(worst(found) in (Status.PASS, Status.NOT_APPLICABLE) for found in controls.values())
    rows = [_row(control, found) for control, found in controls.items()]
    text = f"{met} of {len(controls)} controls met."
    return Section(framework, ("control", "status", "checks", "resources", "evidence"), rows, text)


def _row(control: str, verdicts: list[Verdict]) -> list[Cell]:
    status = worst(verdicts)
    decisive = [verdict for verdict in verdicts if verdict.status is status]
    checks = sorted({verdict.check.id for verdict in verdicts})
    names = sorted({name(verdict) for verdict in decisive if verdict.urn})
    shown = ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
    told = sorted({verdict.message or verdict.check.title for verdict in decisive})
    return [
        Cell(control),
        Cell(status.value, TONES[status]),
        Cell(", ".join(checks)),
        Cell(shown, "quiet"),
        Cell("; ".join(told)),
    ]
