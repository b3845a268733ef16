"""promtool and amtool, as they are on this machine; tests without them are left out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.obtain import find

Tool = Callable[..., subprocess.CompletedProcess[str]]


def _runner(name: str) -> Tool:
    found = find(name)
    if found is None:
        pytest.skip(f"no {name}: run make tools")
    command = str(found.path)

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([command, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)

    return run


@pytest.fixture(scope="session")
def promtool() -> Tool:
    return _runner("promtool")


@pytest.fixture(scope="session")
def amtool() -> Tool:
    return _runner("amtool")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    """Writes a document as JSON, which is YAML."""

    def document(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(content))
        return path

    return document
