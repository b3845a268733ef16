"""The generated pages say what the program says now."""

from __future__ import annotations

import pytest

from stacks.reference import FOLDER, pages

NAMES = ["resources.md", "settings.md", "outputs.md", "metrics.md", "policies.md", "versions.md"]


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_page_matches_the_program(name: str) -> None:
    assert (FOLDER / name).read_text() == pages()[name], "run: python -m stacks.reference"
