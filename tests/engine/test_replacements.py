"""For each change of replacement_rows.py: the engine's plan is what the sources say, all of them in one preview."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.replacement_rows import AROUND, ROWS, Row
from tests.engine.running import cloud_of

pytestmark = pytest.mark.engine


def listed(row: Row, number: int, value: Any) -> dict[str, Any]:
    """The row's resource with a value of its property; None leaves the property out."""
    inputs = row.others if value is None else {**row.others, row.path: value}
    ignored = [row.path] if row.ignored else []
    return {"type": row.type, "name": f"row-{number}", "inputs": inputs, "ignoreChanges": ignored}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory, pulumi: Path) -> dict[str, str]:
    """What a preview plans when every row's property changes at once."""
    root = tmp_path_factory.mktemp("replacements")
    around = [{"type": type_, "name": name, "inputs": inputs} for name, (type_, inputs) in AROUND.items()]
    before = [listed(row, number, row.before) for number, row in enumerate(ROWS)]
    after = [listed(row, number, row.after) for number, row in enumerate(ROWS)]
    cloud_of(root, pulumi, *around, *before).must_up()
    return cloud_of(root, pulumi, *around, *after).planned()


@pytest.mark.parametrize(("number", "row"), list(enumerate(ROWS)), ids=[row.title for row in ROWS])
def test_the_engine_plans_what_the_sources_say(plan: dict[str, str], number: int, row: Row) -> None:
    assert plan.get(f"row-{number}", "none") == row.effect, row.source


def test_nothing_else_changes(plan: dict[str, str]) -> None:
    assert set(plan) <= {f"row-{number}" for number in range(len(ROWS))}
