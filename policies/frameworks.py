"""What a framework asks in all, what of it a program can show, and what no check here covers, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from itertools import chain
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from policies.check import Check, Framework

FILE = Path(__file__).resolve().parent / "frameworks.json"
Reasons = Mapping[str, tuple[str, ...]]
"""Why, and of which controls."""


class Catalogue(BaseModel):
    """A framework's controls as read in its source, each covered by a check or here with its reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    framework: Framework
    source: str
    read: date
    controls: tuple[str, ...]
    unused: Reasons  # about what the stack does not have
    out_of_sight: Reasons  # a program that describes infrastructure cannot show it
    uncovered: Reasons

    def covered(self, checks: Iterable[Check]) -> list[str]:
        mapped = {control for check in checks for control in check.controls.get(self.framework, ())}
        return [control for control in self.controls if control in mapped]


CATALOGUES = TypeAdapter(tuple[Catalogue, ...]).validate_json(FILE.read_bytes())


def controls_of(reasons: Reasons) -> list[str]:
    return list(chain.from_iterable(reasons.values()))


def coverage(checks: Iterable[Check]) -> list[str]:
    """The table, and under it what is not covered and why."""
    known = list(checks)
    lines = [
        "Covered: a check judges what the control is about; it can be less strict than the control.",
        "",
        "| framework | controls | of what is not used | not to be seen | a program can show | covered | source |",
        "|---|---|---|---|---|---|---|",
    ]
    for catalogue in CATALOGUES:
        unused, unseen = len(controls_of(catalogue.unused)), len(controls_of(catalogue.out_of_sight))
        shown, found = len(catalogue.controls) - unused - unseen, len(catalogue.covered(known))
        counts = f"{len(catalogue.controls)} | {unused} | {unseen} | {shown} | {found} ({found / shown:.0%})"
        lines.append(f"| {catalogue.framework} | {counts} | {catalogue.source}; read {catalogue.read} |")
    for catalogue in CATALOGUES:
        for title, reasons in (
            ("not covered", catalogue.uncovered),
            ("not to be seen in a program", catalogue.out_of_sight),
            ("of what is not used", catalogue.unused),
        ):
            if reasons:
                lines += ["", f"{catalogue.framework}, {title}:", ""]
            lines += [f"- {', '.join(controls)}: {reason}" for reason, controls in reasons.items()]
    return lines
