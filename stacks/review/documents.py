"""A review for machines (JSON) and as a page to read and print (HTML)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policies.command import as_data
from stacks.html_page import Cell, Section, page
from stacks.review.changes import Property, in_order, innermost
from stacks.review.danger import INTERRUPTION
from stacks.review.markdown import counted
from stacks.review.redaction import shown
from stacks.review.review import Review

_TONES = {"blocked": "bad", "look closely": "unsure", "clear": "good"}


def document(review: Review) -> dict[str, Any]:
    """Everything in the report, as data."""
    cost = review.cost
    return {
        "stack": review.stack,
        "verdict": review.verdict,
        "closed": review.closed(),
        "accepted": sorted(review.accepted),
        "counts": dict(review.counts),
        "dangers": [
            {
                "urn": row.change.urn, "operation": row.change.operation, "downtime": row.downtime,
                "effect": row.effect, "refused": row.refused, "causes": [_property(cause) for cause in row.causes],
            }
            for row in review.dangers
        ],
        "changes": [
            {
                "urn": row.urn, "operation": row.operation, "component": row.component, "protected": row.protected,
                "properties": [_property(found) for found in row.properties],
            }
            for row in in_order(review.changes)
            if row.operation != "same"
        ],
        "policy": [{**as_data(row), "new": review.policy.is_new(row)} for row in review.policy.rows()],
        "engine": [vars(row) for row in review.policy.engine],
        "cost": None if cost is None else {
            "before": str(cost.before), "after": str(cost.after), "budget": str(cost.budget),
            "drivers": [[what, str(amount)] for what, amount in cost.drivers], "unpriced": list(cost.unpriced),
        },
        "provenance": dict(review.provenance),
    }  # fmt: skip


def html(reviews: Sequence[Review]) -> str:
    """One page for all stacks, nothing left out."""
    tiles = [Cell(review.verdict, _TONES[review.verdict], f"{review.stack}: {counted(review)}") for review in reviews]
    sections = [section for review in reviews for section in _sections(review)]
    return page("Infrastructure review", "What would change, and what to know before it does.", tiles, sections)


def _sections(review: Review) -> list[Section]:
    name = review.stack
    money = "The cost of the change is not available."
    if cost := review.cost:
        money = f"${cost.before:,.2f} before, ${cost.after:,.2f} after, a month; budget ${cost.budget:,.2f}."
    dangers = [
        [
            Cell(f"{row.change.operation} {row.change.kind} {row.change.name}"),
            Cell(row.downtime, "unsure" if row.downtime == INTERRUPTION else "bad"),
            Cell("; ".join(filter(None, (row.effect, row.refused)))),
            Cell("; ".join(map(_told, row.causes)) or "removed from the program"),
        ]
        for row in review.dangers
    ]
    changes = [
        [Cell(row.component), Cell(row.operation), Cell(f"{row.kind} {row.name}"), Cell("; ".join(map(_told, row.properties)))]
        for row in in_order(review.changes)
        if row.operation != "same"
    ]  # fmt: skip
    verdicts = [
        [
            Cell(row.status.value, "bad" if row.blocks else "unsure"), Cell(row.check.id), Cell(row.level),
            Cell("new" if review.policy.is_new(row) else ""), Cell(row.urn.rsplit("::", 1)[-1]), Cell(row.message),
        ]
        for row in review.policy.rows()
    ]  # fmt: skip
    closed = "; ".join(f"{gate}: {reason}" for gate, reason in review.closed().items())
    return [
        Section(f"{name}: danger", ("change", "downtime", "what goes with it", "because of"), dangers, closed),
        Section(f"{name}: changes", ("component", "operation", "resource", "properties"), changes),
        Section(f"{name}: policy", ("verdict", "check", "level", "new", "resource", "why"), verdicts),
        Section(
            f"{name}: cost", ("what", "difference"),
            [[Cell(what), Cell(f"{amount:+,.2f}", "number")] for what, amount in (cost.drivers if cost else ())], money,
        ),
        Section(
            f"{name}: provenance", ("what", "value"), [[Cell(key), Cell(value)] for key, value in review.provenance.items()]
        ),
    ]  # fmt: skip


def _property(row: Property) -> dict[str, Any]:
    before, after = shown(row.before, row.path), shown(row.after, row.path)
    return {"path": row.path, "before": before, "after": after, "replaces": row.replaces}


def _told(whole: Property) -> str:
    row = innermost(whole)
    replaces = " (replaces)" if row.replaces else ""
    return f"{row.path}: {shown(row.before, row.path)} → {shown(row.after, row.path)}{replaces}"
