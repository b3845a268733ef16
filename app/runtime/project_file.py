"""Reads a langgraph.json, the ecosystem's own file, without what it declares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from app.failures import Refused


def read_project(file: Path) -> dict[str, Any]:
    """The file's content, as it stands."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as failure:
        raise Refused(
            f"AGENT_CONFIG={file}: cannot be read ({failure.strerror}). Set the path of a langgraph.json."
        ) from None
    except (ValueError, RecursionError) as failure:
        raise Refused(f"{file}: is not JSON ({failure}). Correct the file.") from None
    if not isinstance(content, dict):
        raise Refused(f"{file}: holds a {type(content).__name__}, not an object. Write {{...}}.")
    return cast("dict[str, Any]", content)
