"""What a file's tests share."""

from __future__ import annotations

from collections.abc import Generator

import pytest

import stacks.capture
from infra.settings import Settings
from stacks.graph import Graph


@pytest.fixture(scope="module", autouse=True)
def each_environment_is_captured_once() -> Generator[None]:
    """By the commands and by the tests beside them: equal settings give equal graphs (tests/program/test_graph.py)."""
    original, known = stacks.capture.capture, dict[tuple[str, str | None, bool], Graph]()

    def capture(settings: Settings, stack: str | None = None, *, preview: bool = True) -> Graph:
        key = (repr(settings), stack, preview)
        if key not in known:
            known[key] = original(settings, stack, preview=preview)
        return known[key]

    with pytest.MonkeyPatch.context() as changes:
        changes.setattr(stacks.capture, "capture", capture)
        yield
