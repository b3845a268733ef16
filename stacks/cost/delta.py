"""What a change adds or removes, resource by resource, and whether the budget allows it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from stacks.cost.amounts import NOTHING, Range, cents, dollars, total
from stacks.cost.estimate import Estimate, Line


@dataclass(frozen=True)
class Change:
    """One resource before and after. None: it was not there, or is not any more."""

    urn: str
    resource: str
    before: Range | None
    after: Range | None
    reasons: tuple[str, ...]  # the meters that moved, with their expected cost before and after

    @property
    def amount(self) -> Decimal:
        return (self.after or NOTHING).expected - (self.before or NOTHING).expected


@dataclass(frozen=True)
class Delta:
    """Before and after of a whole stack; ``changes`` holds what moved, the largest first."""

    before: Range
    after: Range
    changes: tuple[Change, ...]
    newly_unpriced: tuple[str, ...]  # lines that have no price now and were not there, or had one, before

    @property
    def amount(self) -> Decimal:
        """What the change adds to the expected month; negative where it saves."""
        return self.after.expected - self.before.expected

    @property
    def percent(self) -> Decimal | None:
        """Of what it cost before; None where that was nothing."""
        return self.amount * 100 / self.before.expected if self.before.expected else None


@dataclass(frozen=True)
class Gate:
    """What may be spent: a month in all, and by one change. ``override`` is the reason that somebody stated."""

    budget: Decimal | None
    most_added: Decimal | None = None
    override: str = ""


def difference(before: Estimate | None, after: Estimate) -> Delta:
    """From one estimate to the next; without a first one everything is new."""
    old, new = _by_urn(before), _by_urn(after)
    changes = [_change(urn, old.get(urn, []), new.get(urn, [])) for urn in sorted({*old, *new})]
    moved = [change for change in changes if change.reasons]
    known = {(line.urn, line.usage_type) for line in (before.unpriced if before else ())}
    unpriced = [line for line in after.unpriced if (line.urn, line.usage_type) not in known]
    return Delta(
        before=before.total if before else NOTHING,
        after=after.total,
        changes=tuple(sorted(moved, key=lambda change: (-abs(change.amount), change.urn))),
        newly_unpriced=tuple(f"{line.resource}: {line.usage_type} ({line.assumption})" for line in unpriced),
    )


def refusals(gate: Gate, after: Estimate | None, delta: Delta | None) -> list[str]:
    """Why a change may not be applied; nothing where it may. What is missing counts against it."""
    if gate.override.strip():
        return []
    if after is None or not after.lines:
        return ["there is no estimate, or nothing in it: nothing shows that the budget holds"]
    found: list[str] = []
    if gate.budget is not None and after.total.expected > gate.budget:
        over = f"{dollars(after.total.expected)} a month exceeds the budget of {dollars(gate.budget)}"
        found.append(f"{over}. Raise budget.monthlyUsd, or spend less.")
    if gate.most_added is not None:
        found += _added(gate.most_added, delta)
    return found


def _added(most: Decimal, delta: Delta | None) -> list[str]:
    if delta is None:
        return ["there is no estimate of the state before: nothing shows what the change adds"]
    found = [f"{text}: has no price, so nothing shows what it adds" for text in delta.newly_unpriced]
    if delta.amount > most:
        found.append(f"adds {dollars(delta.amount)} a month, and {dollars(most)} is the most one change may add.")
    return found


def as_data(delta: Delta) -> dict[str, Any]:
    """A delta as JSON has it."""
    return {
        "before": str(cents(delta.before.expected)),
        "after": str(cents(delta.after.expected)),
        "amount": str(cents(delta.amount)),
        "percent": None if delta.percent is None else str(round(delta.percent, 1)),
        "changes": [
            {
                "urn": change.urn,
                "before": change.before and str(cents(change.before.expected)),
                "after": change.after and str(cents(change.after.expected)),
                "amount": str(cents(change.amount)),
                "reasons": list(change.reasons),
            }
            for change in delta.changes
        ],
        "newlyUnpriced": list(delta.newly_unpriced),
    }


def _change(urn: str, old: list[Line], new: list[Line]) -> Change:
    return Change(urn, (new or old)[0].resource, _sum(old), _sum(new), tuple(_reasons(_meters(old), _meters(new))))


def _reasons(old: dict[str, Range | None], new: dict[str, Range | None]) -> list[str]:
    """Each meter of which any bound moved, or which came or went."""
    moved = [name for name in sorted({*old, *new}) if (name in old, old.get(name)) != (name in new, new.get(name))]
    return [f"{name}: {_told(name, old)} → {_told(name, new)}" for name in moved]


def _told(name: str, meters: dict[str, Range | None]) -> str:
    if name not in meters:
        return "none"
    cost = meters[name]
    return dollars(cost.expected) if cost else "unpriced"


def _meters(lines: list[Line]) -> dict[str, Range | None]:
    found: dict[str, Range | None] = {}
    for line in lines:
        earlier = found.get(line.usage_type)
        found[line.usage_type] = line.cost + earlier if line.cost and earlier else line.cost
    return found


def _sum(lines: list[Line]) -> Range | None:
    return total([line.cost for line in lines if line.cost]) if lines else None


def _by_urn(found: Estimate | None) -> dict[str, list[Line]]:
    rows: dict[str, list[Line]] = {}
    for line in found.lines if found else ():
        rows.setdefault(line.urn, []).append(line)
    return rows
