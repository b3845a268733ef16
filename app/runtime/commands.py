"""A client's command as LangGraph's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from langgraph.types import Command, Send


def as_langgraph(command: Mapping[str, Any]) -> Command[Any]:
    """From {"resume", "update", "goto"}, each of which may be left out."""
    goto = command.get("goto") or ()
    entries = cast("list[Any]", goto) if isinstance(goto, list) else [goto]
    targets = [_target(entry) for entry in entries] if goto else ()
    return Command(resume=command.get("resume"), update=command.get("update"), goto=cast("Any", targets))


def _target(entry: Any) -> str | Send:
    if isinstance(entry, dict):
        send = cast("dict[str, Any]", entry)
        return Send(send["node"], send.get("input"))
    return str(entry)
