"""Reads a langgraph.json, the ecosystem's own file, without what it declares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from app.failures import Refused


def read_project(file: Path, name: object = None, *, setting: str = "AGENT_CONFIG", place: str = "") -> dict[str, Any]:
    """The file's content, as it stands; refused by the name that the setting has for it."""
    name = name or file
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as failure:
        raise Refused(
            f"{setting}={name}: cannot be read ({failure.strerror}). Set the path of a langgraph.json{place}."
        ) from None
    except (ValueError, RecursionError) as failure:
        raise Refused(f"{name}: is not JSON ({failure}). Correct the file.") from None
    if not isinstance(content, dict):
        raise Refused(f"{name}: holds a {type(content).__name__}, not an object. Write {{...}}.")
    return cast("dict[str, Any]", content)
