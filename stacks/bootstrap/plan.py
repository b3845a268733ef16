"""The plan: every step looked at first, as data; then what is missing or different is made, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stacks.account import aws_errors
from stacks.bootstrap import anomaly_monitor, identity, registry, secrets_key, state_bucket
from stacks.bootstrap.step import Action, Finding, Step, Target

# In the order of making: the key comes before what it encrypts.
STEPS: tuple[Step, ...] = (
    *secrets_key.STEPS,
    *state_bucket.STEPS,
    *identity.STEPS,
    *registry.STEPS,
    *anomaly_monitor.STEPS,
)


@dataclass(frozen=True)
class Row:
    """One step and what looking at it found."""

    step: Step
    finding: Finding


def plan(target: Target) -> list[Row]:
    """Look at everything and change nothing."""
    rows: list[Row] = []
    for step in STEPS:
        with aws_errors(step.name):
            rows.append(Row(step, step.look(target)))
    return rows


def pending(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.finding.pending]


def blocked(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.finding.action is Action.BLOCKED]


def apply(target: Target, rows: Sequence[Row]) -> Iterator[Row]:
    """Make what is pending, yielding each row when it is done: stop at any of them and run again."""
    for row in pending(rows):
        with aws_errors(row.step.name):
            row.step.make(target)
        yield row
