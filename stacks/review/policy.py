"""Policy before and after: what a change brings, and what was there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from policies.check import Status, Verdict
from policies.command import Assessment, assess
from stacks.graph import Graph
from stacks.review.events import Preview, Violation

Identity = tuple[str, Status, str, str]
SHOWN = (Status.FAIL, Status.NOT_EVALUATED, Status.WAIVED)


@dataclass(frozen=True)
class Policy:
    """The assessment of the head, what of it the base did not have, and what only the engine said."""

    assessment: Assessment
    new: frozenset[Identity]
    engine: tuple[Violation, ...]
    engine_ran: bool | None  # None where no engine was asked

    @property
    def blocks(self) -> bool:
        return self.assessment.blocks or any(violation.level == "mandatory" for violation in self.engine)

    def rows(self) -> list[Verdict]:
        """What people must read: what blocks first, then failures, then what could not be seen; new before old."""
        found = self.assessment.of(*SHOWN)
        return sorted(
            found,
            key=lambda row: (not row.blocks, SHOWN.index(row.status), not self.is_new(row), row.check.id, row.urn),
        )

    def is_new(self, verdict: Verdict) -> bool:
        return _identity(verdict) in self.new

    def count(self, status: Status) -> int:
        return len(self.assessment.of(status))


def compare(base: Graph, head: Graph, today: date, preview: Preview | None) -> Policy:
    """The head's checks on both graphs, so that a new check is no change of the stack."""
    before, after = (assess(graph, head.stack, today) for graph in (base, head))
    known = {_identity(verdict) for verdict in before.of(*SHOWN)}
    new = frozenset(_identity(verdict) for verdict in after.of(*SHOWN)) - known
    seen = {(verdict.check.id, verdict.urn) for verdict in after.of(*SHOWN)}
    said = [row for row in preview.violations if (row.policy, row.urn) not in seen] if preview else []
    return Policy(after, new, tuple(said), preview.policies_ran if preview else None)


def _identity(verdict: Verdict) -> Identity:
    return verdict.check.id, verdict.status, verdict.urn, verdict.place
