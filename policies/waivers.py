"""What is let pass for a while: policies/waivers.json names check, resource, owner, reason and the day it ends."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from policies.check import Status, Verdict
from stacks.terminal import Exit, Refused

FILE = Path(__file__).resolve().parent / "waivers.json"


class Waiver(BaseModel):
    """`resource` is the last part of a URN, its logical name; * stands for any text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    check: str
    resource: str = Field(min_length=1)
    stack: str = "*"
    owner: str = Field(min_length=1)
    reason: str = Field(min_length=10)
    expires: date
    optional: bool = False  # what it is about is there in some configurations only

    def covers(self, verdict: Verdict) -> bool:
        parts = verdict.urn.split("::")  # urn:pulumi:<stack>::<project>::<types>::<name>
        stack = parts[0].rpartition(":")[2]
        return (
            verdict.check.id == self.check
            and fnmatch.fnmatchcase(parts[-1], self.resource)
            and fnmatch.fnmatchcase(stack, self.stack)
        )


def read_waivers(today: date, file: Path = FILE) -> list[Waiver]:
    """The waivers that hold on a day. Raises Refused for a mistake in the file."""
    try:
        waivers = TypeAdapter(list[Waiver]).validate_json(file.read_text())
    except ValidationError as failure:
        error = failure.errors(include_url=False)[0]
        place = ".".join(str(part) for part in error["loc"])
        raise Refused(f"{file.name}: {place}={error['input']!r}: {error['msg']}. Correct it.", Exit.BAD_INPUT) from None
    return [waiver for waiver in waivers if waiver.expires >= today]


def waived(verdicts: Iterable[Verdict], waivers: Iterable[Waiver]) -> list[Verdict]:
    """The verdicts, where a failure that a waiver covers is waived, with its reason."""
    return [_waived(verdict, waivers) for verdict in verdicts]


def unused(stack: str, verdicts: Iterable[Verdict], waivers: Iterable[Waiver]) -> list[Waiver]:
    """A stack's waivers that cover nothing that failed: what they let pass was mended, or their names are wrong."""
    verdicts = list(verdicts)
    failed = [verdict for verdict in verdicts if verdict.status in (Status.FAIL, Status.WAIVED)]
    judged = [waiver for waiver in waivers if not waiver.optional or any(map(waiver.covers, verdicts))]
    ours = [waiver for waiver in judged if fnmatch.fnmatchcase(stack, waiver.stack)]
    return [waiver for waiver in ours if not any(map(waiver.covers, failed))]


def _waived(verdict: Verdict, waivers: Iterable[Waiver]) -> Verdict:
    if verdict.status is not Status.FAIL:
        return verdict
    for waiver in waivers:
        if waiver.covers(verdict):
            message = f"{verdict.message}; waived until {waiver.expires} by {waiver.owner}: {waiver.reason}"
            return dataclasses.replace(verdict, status=Status.WAIVED, message=message)
    return verdict
