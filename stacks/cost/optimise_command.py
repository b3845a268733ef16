"""``python -m stacks.cost optimise``: what would make an environment cheaper, each as settings that hold."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from stacks.cost.amounts import cents, dollars
from stacks.cost.ideas import ideas
from stacks.cost.metrics import read, right_sized
from stacks.cost.optimise import Optimised, Suggestion, optimised
from stacks.cost.plan import Base
from stacks.cost.plan_command import base_of
from stacks.cost.settings_change import before_and_after, pasted, sections
from stacks.terminal import console

NOT_MEASURED = "Not offered without --metrics: requests of the pods and the database's class, as measured."
NOT_POSSIBLE = "Never offered: less database storage, since RDS only lets it grow."


def optimise_command(arguments: list[str]) -> None:
    """Rank what would save by dollars a month; each is validated, captured, judged by policy and priced again."""
    chosen = _parser().parse_args(arguments)
    base = base_of(chosen.stack)
    tried = [*ideas(base), *(right_sized(base, read(chosen.metrics)) if chosen.metrics else ())]
    found = optimised(base, tried, chosen.date or datetime.now(UTC).date())
    if chosen.json:
        sys.stdout.write(json.dumps(_as_data(base, found), indent=2) + "\n")
    else:
        _show(base, found, measured=bool(chosen.metrics))


def to_yaml(base: Base, row: Suggestion) -> str:
    """One suggestion, ready to paste."""
    what = "\n# ".join([row.idea.title, *before_and_after(base.config, row.idea.changes)])
    return pasted(base.stack, sections(base.config, row.idea.changes), what)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.cost optimise", description=optimise_command.__doc__)
    parser.add_argument("--stack", default="prod", help="which Pulumi.<stack>.yaml (default: prod)")
    parser.add_argument("--metrics", type=Path, metavar="FILE", help="measured 95th percentiles as JSON: docs/cost.md")
    parser.add_argument(
        "--date", type=date.fromisoformat, help="judge policies and waivers as of this day (default: today)"
    )
    parser.add_argument("--json", action="store_true", help="for machines, with the settings of each")
    return parser


def _as_data(base: Base, found: Optimised) -> dict[str, Any]:
    return {
        "version": 1,
        "stack": base.stack,
        "before": str(cents(found.before.total.expected)),
        "suggestions": [
            {
                "title": row.idea.title,
                "saving": str(cents(row.saving)),
                "after": str(cents(row.delta.after.expected)),
                "risk": row.idea.risk,
                "why": row.idea.why,
                "changes": before_and_after(base.config, row.idea.changes),
                "settings": sections(base.config, row.idea.changes),
            }
            for row in found.suggestions
        ],
        "refused": dict(found.refused),
    }


def _show(base: Base, found: Optimised, *, measured: bool) -> None:
    title = f"what would make {base.stack} cheaper than {dollars(found.before.total.expected)} a month"
    table = Table("suggestion", "saves", "risk", "what it gives up", title=title, title_justify="left")
    for row in found.suggestions:
        table.add_row(escape(row.idea.title), dollars(row.saving), row.idea.risk, escape(row.idea.why))
    console.print(table)
    console.print("Each by itself: they overlap, and their sum is not what all of them save.")
    for title, reason in found.refused.items():
        console.print(f"Not offered: {title}: {reason}", markup=False, soft_wrap=True)
    console.print(NOT_POSSIBLE if measured else f"{NOT_MEASURED} {NOT_POSSIBLE}", soft_wrap=True)
    for row in found.suggestions:
        if row.idea.changes:
            console.print(to_yaml(base, row), markup=False, soft_wrap=True)
