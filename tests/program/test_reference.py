"""The generated pages say what the program says now."""

from __future__ import annotations

import pytest

from stacks.reference import FOLDER, pages

NAMES = ["resources.md", "settings.md", "outputs.md", "metrics.md", "policies.md", "versions.md"]


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


def test_every_page_is_held(made: dict[str, str]) -> None:
    assert sorted(made) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_page_matches_the_program(made: dict[str, str], name: str) -> None:
    assert (FOLDER / name).read_text() == made[name], "run: python -m stacks.reference"
