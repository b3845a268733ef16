"""A review as Markdown for a pull request's comment: the worst first, and never longer than there is room for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from policies.check import Status, Verdict
from policies.report.documents import PAGE
from stacks.review.changes import MARKS, OPERATIONS, Change, in_order, innermost
from stacks.review.danger import LOSS, OUTAGE, Danger
from stacks.review.diagram import mermaid
from stacks.review.redaction import cleaned, shown
from stacks.review.review import Review

LIMIT = 60_000  # characters; GitHub takes 65,536 in a comment, and ours has a frame around its sections
SIGNS = {"blocked": "⛔", "look closely": "⚠️", "clear": "✅"}
_GRAVE = {LOSS: "⛔", OUTAGE: "⛔"}
_MOST_PROPERTIES = 4


@dataclass(frozen=True)
class Part:
    """Lines that belong together. What does not fit of ``rows`` is counted instead; a part without rows is whole."""

    opening: Sequence[str]
    rows: Sequence[str] = field(default_factory=tuple)
    closing: Sequence[str] = field(default_factory=tuple)


def markdown(review: Review, limit: int = LIMIT) -> str:
    """The whole section of a stack, in at most ``limit`` characters."""
    parts = [_head(review), _danger(review.dangers), _changes(review.changes), _policy(review), _cost(review)]
    parts += [_diagram(review), _provenance(review)]
    return cleaned(fitted([part for part in parts if part], limit))


def summary(review: Review) -> str:
    """The verdict, what holds it back, and the dangers."""
    return cleaned(fitted([part for part in (_head(review), _danger(review.dangers)) if part], LIMIT))


def fitted(parts: Iterable[Part], limit: int) -> str:
    """The parts in order, each cut to what is left."""
    text = ""
    for part in parts:
        frame = "\n".join([*part.opening, *part.closing]) + "\n\n"
        room = limit - len(text) - len(frame) - 60  # 60: the line that counts what is left out
        if room < 0:
            continue
        kept: list[str] = []
        for row in part.rows:
            room -= len(row) + 1
            if room < 0:
                break
            kept.append(row)
        left_out = len(part.rows) - len(kept)
        more = ["", f"… {left_out} more in the full report."] if left_out else []
        text += "\n".join([*part.opening, *kept, *more, *part.closing]) + "\n\n"
    return text


def counted(review: Review) -> str:
    """How much changes: +1 ~2 ±3 -4."""
    return " ".join(f"{MARKS[name]}{review.counts[name]}" for name in ("create", "update", "replace", "delete"))


def code(text: str) -> str:
    """A text that Markdown, HTML and @mentions leave alone."""
    return "`" + text.replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`"


def cell(text: str) -> str:
    """A sentence in a table."""
    return (
        text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\n", " ").replace("@", "@\u200b")
    )


def _head(review: Review) -> Part:
    policy = review.policy
    sums = ", ".join(
        f"{policy.count(status)} {word}"
        for status, word in (
            (Status.FAIL, "failed"), (Status.NOT_EVALUATED, "not evaluated"), (Status.WAIVED, "waived"),
        )
    )  # fmt: skip
    cost = review.cost
    money = "cost not available"
    if cost:
        money = f"${cost.before:,.0f} → ${cost.after:,.0f} a month ({cost.difference:+,.0f})"
    lines = [
        f"### {SIGNS[review.verdict]} {review.stack}: {review.verdict}",
        "",
        f"{counted(review)} · {review.counts['same']} unchanged · policy: {sums} · {money}",
        "",
    ]
    lines += [f"- **{gate}**: {cell(reason)}" for gate, reason in review.closed().items()]
    lines += [f"- {gate}: accepted by a label" for gate in sorted(review.accepted)]
    return Part(lines)


def _danger(found: list[Danger]) -> Part | None:
    rows = [_danger_row(danger) for danger in found]
    heads = ["#### Danger", "", "| | resource | downtime | what goes with it | because of |", "|---|---|---|---|---|"]
    return Part(heads, rows) if rows else None


def _danger_row(danger: Danger) -> str:
    change = danger.change
    why = "; ".join(f"{code(row.path)} {_values(row.before, row.after, row.path)}" for row in danger.causes[:3])
    effect = cell(danger.effect) + (f"; **{cell(danger.refused)}**" if danger.refused else "")
    what = f"{MARKS[change.operation]} {change.operation} {code(f'{change.kind} {change.name}')}"
    return f"| {_GRAVE.get(danger.downtime, '⚠️')} | {what} | {danger.downtime} | {effect} | {why or 'removed from the program'} |"


def _values(before: object, after: object, path: str) -> str:
    return f"{code(shown(before, path))} → {code(shown(after, path))}"


def _changes(changes: list[Change]) -> Part | None:
    moving = [change for change in in_order(changes) if change.operation != "same"]
    if not moving:
        return Part(["Nothing changes."])
    rows: list[str] = []
    by_component = sorted(moving, key=lambda change: change.component)
    for component, group in groupby(by_component, key=lambda change: change.component):
        rows += [f"| **{cell(component)}** | | |"]
        ordered = sorted(group, key=lambda change: OPERATIONS.index(change.operation))
        rows += [_change_row(change) for change in ordered]
    opening = [
        f"<details><summary>Changes by component ({len(moving)})</summary>",
        "",
        "| | resource | what |",
        "|---|---|---|",
    ]
    return Part(opening, rows, ["", "</details>"])


def _change_row(change: Change) -> str:
    told = [
        f"{code(row.path)} {_values(row.before, row.after, row.path)}{' (replaces)' if row.replaces else ''}"
        for row in map(innermost, change.properties[:_MOST_PROPERTIES])
    ]
    left_out = len(change.properties) - len(told)
    told += [f"{left_out} more"] if left_out > 0 else []
    guard = " 🔒" if change.protected else ""
    return f"| {MARKS[change.operation]} {change.operation} | {code(f'{change.kind} {change.name}')}{guard} | {'; '.join(told)} |"


def _policy(review: Review) -> Part | None:
    policy, found = review.policy, review.policy.rows()
    rows: list[str] = []
    for key, group in groupby(found, key=lambda row: (row.check.id, row.status, row.message, policy.is_new(row))):
        rows.append(_policy_row(list(group), new=key[3]))
    rows += [
        f"| engine: {cell(row.level)} | {code(row.policy)} | | {code(row.urn.rsplit('::', 1)[-1])} | {cell(row.message)} |"
        for row in policy.engine
    ]
    if not rows:
        return None
    opening = [
        f"<details{' open' if policy.blocks else ''}><summary>Policy ({len(found) + len(policy.engine)}, {len(policy.new)} new)</summary>",
        "",
        "| verdict | check | new | resources | why |",
        "|---|---|---|---|---|",
    ]
    return Part(opening, rows, ["", "</details>"])


def _policy_row(verdicts: list[Verdict], *, new: bool) -> str:
    first = verdicts[0]
    names = ", ".join(code(row.urn.rsplit("::", 1)[-1]) for row in verdicts[:5])
    names += f" and {len(verdicts) - 5} more" if len(verdicts) > 5 else ""
    level = "**blocks**" if first.blocks else first.level
    verdict = f"{first.status.value}, {level}" if first.status is not Status.WAIVED else "waived"
    link = f"[{first.check.id}]({PAGE}#{first.check.id})"
    return f"| {verdict} | {link} | {'new' if new else ''} | {names} | {cell(first.message)} |"


def _cost(review: Review) -> Part | None:
    cost = review.cost
    if cost is None:
        return None
    share = int(cost.after * 20 / cost.budget) if cost.budget else 20
    bar = "█" * min(share, 20) + "░" * (20 - min(share, 20))
    opening = [
        "<details><summary>Cost</summary>", "",
        f"{code(bar)} {cost.after * 100 / cost.budget if cost.budget else 0:.0f} % of the budget of ${cost.budget:,.0f}", "",
        "| what | difference a month |", "|---|---:|",
    ]  # fmt: skip
    rows = [f"| {cell(what)} | {amount:+,.2f} |" for what, amount in cost.drivers]
    closing = [f"\nWithout a price: {cell(', '.join(cost.unpriced))}"] if cost.unpriced else []
    return Part(opening, rows, [*closing, *("\n" + cell(note) for note in cost.notes), "", "</details>"])


def _diagram(review: Review) -> Part | None:
    if review.unchanged:
        return None
    picture = mermaid(review.graph, review.changes)
    return Part(["<details><summary>Architecture</summary>", "", "```mermaid", picture, "```", "", "</details>"])


def _provenance(review: Review) -> Part:
    rows = [f"| {cell(name)} | {code(value)} |" for name, value in review.provenance.items()]
    return Part(["<details><summary>Provenance</summary>", "", "| | |", "|---|---|"], rows, ["", "</details>"])
