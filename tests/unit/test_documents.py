"""What the documents point at exists: files, headings, Make targets, modules and their commands."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.test_makefile import TARGETS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def headings(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings, and those that it names itself."""
    text = page.read_text()
    made = {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.*)$", text, re.M)}
    return made | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in headings(found), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_exists(page: Path) -> None:
    code = "\n".join(spans(page.read_text()))
    assert set(re.findall(r"\bmake ([a-z][a-z-]+)", code)) <= set(TARGETS)
    modules = set(re.findall(r"python -m ((?:stacks|app|tools|policies|tests)(?:\.\w+)*)", code))
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


def spans(text: str) -> list[str]:
    """What is set as code: shell blocks and code spans."""
    return [block or span for block, span in re.findall(r"```sh\n(.*?)```|`([^`\n]+)`", text, re.S)]


def test_every_page_is_reached_from_the_readme() -> None:
    seen, open_ = set[Path](), [ROOT / "README.md"]
    while open_:
        page = open_.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
        targets = [(page.parent / link).resolve() for link in links]
        open_ += [file for target in targets for file in (target.rglob("*.md") if target.is_dir() else [target])]
    listed = subprocess.run(["git", "ls-files", "docs"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {ROOT / name for name in listed.split() if name.endswith(".md")} <= seen
