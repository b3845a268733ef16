"""A refreshed price table as a pull request: what moved, and what the Price List did not tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stacks.delivery.propose import Proposal, changed_below
from stacks.review.markdown import LIMIT, Part, cell, code, fitted
from stacks.terminal import Exit, Refused

FOLDER = "stacks/cost/data"


def price_proposal(report: Path) -> tuple[Proposal, Exit]:
    """The proposal of what `python -m stacks.cost refresh --apply --json` did; 1 when it left meters as they were."""
    try:
        told: dict[str, Any] = json.loads(report.read_text())
        body, failures = body_of(told), told["failures"]
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise Refused(
            f"{report}: is no report of a refresh ({type(failure).__name__}), so nothing is proposed. Look at its run.",
            Exit.FAILED,
        ) from None
    proposal = Proposal("prices", "Prices as AWS lists them", body, changed_below(FOLDER))
    return proposal, Exit.FAILED if failures else Exit.OK


def body_of(told: dict[str, Any]) -> str:
    """For reviewers: every price that moved, dearer ones first, then what could not be told."""
    rows = [
        f"| {move['region']} | {code(move['service'] + ' ' + move['usageType'])} | {move['begins']} "
        f"| {move['old'] or ''} | {move['new'] or ''} | {move['percent'] or ''} |"
        for move in told["moves"]
    ]
    heads = ["| region | meter | from | before | now | % |", "|---|---|---:|---:|---:|---:|"]
    parts = [Part([f"{told['confirmed']} meters are as the Price List has them today; {len(rows)} prices moved."])]
    parts += [Part(heads, rows)] if rows else []
    for title, names in (("Left as they were", told["failures"]), ("Without a price, as before", told["absent"])):
        parts += [Part([f"{title}:", ""], [f"- {cell(name)}" for name in names])] if names else []
    return fitted(parts, LIMIT)
