"""Parts of an answer: the fields a client selects, the values it extracts, and the page it asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from pydantic import AfterValidator

# As the SDK writes a path: values.messages[-1].content
PATH = re.compile(r"(?:values|metadata|interrupts)(?:\.[^.\[\]]+|\[-?[0-9]{1,9}\])*")
STEP = re.compile(r"\.([^.\[\]]+)|\[(-?[0-9]{1,9})\]")
MOST_PATHS = 10


def _readable(paths: dict[str, str]) -> dict[str, str]:
    if len(paths) > MOST_PATHS:
        raise ValueError(f"holds {len(paths)} paths. Send {MOST_PATHS} at most")
    for path in paths.values():
        if not PATH.fullmatch(path):
            raise ValueError(f"{path[:100]!r} is no path. Begin with values, metadata or interrupts: values.a[0].b")
    return paths


Extract = Annotated[dict[str, str], AfterValidator(_readable)]


def selected(row: Mapping[str, Any], fields: Sequence[str] | None) -> dict[str, Any]:
    """The named fields of a row; `values.key` stands for one key of its values."""
    if not fields:
        return dict(row)
    chosen = {name: row[name] for name in fields if name in row}
    keys = [name.removeprefix("values.") for name in fields if name.startswith("values.")]
    if keys and "values" not in chosen and isinstance(row.get("values"), dict):
        values = cast("dict[str, Any]", row["values"])
        chosen["values"] = {key: values[key] for key in keys if key in values}
    return chosen


def extracted(row: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """By alias, what each path leads to; None where it leads nowhere. The row has to be plain JSON."""
    return {alias: _at(row, path) for alias, path in paths.items()}


def _at(row: Mapping[str, Any], path: str) -> Any:
    found: Any = row.get(re.split(r"[.\[]", path, maxsplit=1)[0])
    for key, index in STEP.findall(path):
        try:
            found = found[int(index)] if index else found[key]
        except (KeyError, IndexError, TypeError):
            return None
    return found


def page_headers(found: int, limit: int, offset: int) -> dict[str, str]:
    """For `found` rows of `limit` + 1 that were looked for; the total is a lower bound while there are more."""
    headers = {"x-pagination-total": str(offset + found)}
    if found > limit:
        headers["x-pagination-next"] = str(offset + limit)
    return headers
