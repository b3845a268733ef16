"""One stack's review: all that is known of a change, and whether it may go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from policies.check import Status
from stacks.graph import Graph
from stacks.review.changes import Change
from stacks.review.cost import Cost
from stacks.review.danger import INTERRUPTION, Danger, dangers
from stacks.review.policy import Policy

Gate = Literal["policy", "danger", "cost"]
GATES: tuple[Gate, ...] = ("policy", "danger", "cost")


@dataclass(frozen=True)
class Review:
    """What a reviewer reads. ``accepted`` are the gates that somebody with the right to has opened."""

    stack: str
    graph: Graph
    changes: list[Change]
    policy: Policy
    cost: Cost | None
    provenance: Mapping[str, str]
    accepted: frozenset[Gate] = field(default_factory=frozenset[Gate])

    @property
    def counts(self) -> Counter[str]:
        return Counter(change.operation for change in self.changes)

    @property
    def dangers(self) -> list[Danger]:
        return dangers(self.changes)

    @property
    def unchanged(self) -> bool:
        return set(self.counts) <= {"same"}

    def closed(self) -> dict[Gate, str]:
        """The gates that hold the change back, each with its reason. What is missing holds it back too."""
        reasons = {"policy": self._policy(), "danger": self._danger(), "cost": self._cost()}
        return {gate: reasons[gate] for gate in GATES if reasons[gate] and gate not in self.accepted}

    @property
    def verdict(self) -> Literal["blocked", "look closely", "clear"]:
        if self.closed():
            return "blocked"
        careful = self.dangers or self.policy.new or self.policy.count(Status.NOT_EVALUATED)
        return "look closely" if careful else "clear"

    def _policy(self) -> str:
        failed = sum(row.blocks for row in self.policy.assessment.verdicts)
        failed += sum(row.level == "mandatory" for row in self.policy.engine)
        if self.policy.engine_ran is False:
            return "the preview by the engine ran no policy pack"
        return f"{failed} mandatory policy violation{'s' if failed > 1 else ''}" if failed else ""

    def _danger(self) -> str:
        grave = [row for row in self.dangers if row.downtime != INTERRUPTION or row.refused]
        return (
            f"{len(grave)} change{'s' if len(grave) > 1 else ''} with data loss, an outage or a refusal"
            if grave
            else ""
        )

    def _cost(self) -> str:
        if self.unchanged:
            return ""
        if self.cost is None:
            return "the cost of the change is not available"
        if self.cost.unpriced:
            return f"without a price: {', '.join(self.cost.unpriced[:3])}"
        if self.cost.after > self.cost.budget:
            return f"${self.cost.after:,.0f} a month is over the budget of ${self.cost.budget:,.0f}"
        return ""
