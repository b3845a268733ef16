"""Resource policies that others may have written in too: our statement is added by its Sid, theirs stay."""

from __future__ import annotations

import json
from typing import Any, cast

Statement = dict[str, Any]


def holds(policy: str | None, statement: Statement) -> bool:
    """Whether a policy has this statement, however AWS chose to write lists of one."""
    wanted = _canonical(statement)
    return any(_canonical(held) == wanted for held in _statements(policy))


def with_statement(policy: str | None, statement: Statement) -> str:
    """The policy with this statement in the place of any other of the same Sid."""
    others = [held for held in _statements(policy) if held.get("Sid") != statement["Sid"]]
    return json.dumps({"Version": "2012-10-17", "Statement": [*others, statement]})


def _statements(policy: str | None) -> list[Statement]:
    document: dict[str, Any] = json.loads(policy) if policy else {}
    found: Statement | list[Statement] = document.get("Statement", [])
    return found if isinstance(found, list) else [found]


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        items = sorted((_canonical(item) for item in cast("list[Any]", value)), key=str)
        return items[0] if len(items) == 1 else items
    return value
