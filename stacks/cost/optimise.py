"""Which ideas hold: validated, captured, judged by the environment's policies, and priced by the estimator as today's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from policies.check import Status
from policies.command import assess
from stacks.cost.amounts import dollars
from stacks.cost.delta import Delta, difference
from stacks.cost.estimate import Estimate, estimate
from stacks.cost.ideas import Idea
from stacks.cost.plan import Base
from stacks.cost.settings_change import variant
from stacks.graph import Graph
from stacks.terminal import Refused


@dataclass(frozen=True)
class Suggestion:
    """An idea that holds, and what it changes by the same estimator."""

    idea: Idea
    delta: Delta

    @property
    def saving(self) -> Decimal:
        return -self.delta.amount


@dataclass(frozen=True)
class Optimised:
    """What may be done, the largest saving first; each by itself, since they overlap. And what may not, with the reason."""

    before: Estimate
    suggestions: tuple[Suggestion, ...]
    refused: Mapping[str, str]


def optimised(base: Base, ideas: Iterable[Idea], today: date) -> Optimised:
    """Every idea judged."""
    graph = variant(base, {}).graph
    before, broken = estimate(graph, base.usage, base.prices), _broken(graph, base, today)
    judged = {idea.title: _judged(base, idea, before, broken, today) for idea in ideas}
    found = [row for row in judged.values() if isinstance(row, Suggestion)]
    return Optimised(
        before,
        tuple(sorted(found, key=lambda row: (-row.saving, row.idea.title))),
        {title: row for title, row in judged.items() if isinstance(row, str)},
    )


def _judged(base: Base, idea: Idea, before: Estimate, broken: set[tuple[str, str]], today: date) -> Suggestion | str:
    """A suggestion, or why there is none."""
    if idea.unpriced:
        return f"not priced: {idea.unpriced}"
    try:
        found = variant(base, idea.changes)
    except Refused as refusal:
        return f"refused by the settings: {refusal}"
    usage = idea.usage(found.settings) if idea.usage else base.usage
    delta = difference(before, estimate(found.graph, usage, base.prices))
    if delta.newly_unpriced:
        return f"not priced: {'; '.join(delta.newly_unpriced)}"
    if delta.amount >= 0:
        return f"saves nothing: {dollars(delta.amount)} a month more"
    new = _broken(found.graph, base, today) - broken
    if new:
        names = ", ".join(sorted({check for check, _ in new}))
        return f"refused by policy ({names}); it would save {dollars(-delta.amount)} a month"
    return Suggestion(idea, delta)


def _broken(graph: Graph, base: Base, today: date) -> set[tuple[str, str]]:
    """What blocks, and what the engine would put right again by itself: that saves nothing."""
    verdicts = assess(graph, base.settings.environment, today).verdicts
    return {
        (verdict.check.id, verdict.urn)
        for verdict in verdicts
        if verdict.blocks or (verdict.status is Status.FAIL and verdict.level == "remediate")
    }
