"""What the documents point at exists: files, headings, Make targets, modules and their commands."""

from __future__ import annotations

import importlib
import importlib.util
import io
import re
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path

import pytest

from tests.environments import settings_of
from tests.unit.test_makefile import TARGETS

ROOT = Path(__file__).resolve().parents[2]
MODULES = r"(?:stacks|app|tools|policies|tests)(?:\.\w+)*"
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
def test_every_make_target_and_its_variables_exist(page: Path) -> None:
    found = re.findall(r"\bmake ([a-z][a-z-]+)((?: [A-Z]+=\S*)*)", "\n".join(spans(page.read_text())))
    variables = {name for _, given in found for name in re.findall(r"([A-Z]+)=", given)}
    assert {target for target, _ in found} <= set(TARGETS)
    assert variables <= set(re.findall(r"\$\((?:or \$\()?([A-Z]+)\)", (ROOT / "Makefile").read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_and_its_commands_and_options_exist(page: Path) -> None:
    for line in "\n".join(spans(page.read_text())).replace("\\\n", " ").splitlines():
        for module, rest in re.findall(rf"python3? -m ({MODULES})(?!\.)([^;|#&]*)", line):
            given = str(rest).partition(" -- ")[0].split()
            first = next((at for at, word in enumerate(given) if word.startswith(("-", "<", ">"))), None)
            options = {word for word in given if re.fullmatch(r"--[a-z][a-z-]*", word)}
            assert options <= {"--help", *re.findall(r"--[a-z][a-z-]*", help_of(module, tuple(given[:first])))}, line


@cache
def help_of(module: str, words: tuple[str, ...]) -> str:
    """What a command says of itself; it refuses a part that it does not have."""
    package = importlib.util.find_spec(f"{module}.__main__") if (ROOT / module.replace(".", "/")).is_dir() else None
    command = importlib.import_module(f"{module}.__main__" if package else module)
    main = getattr(command, "main", None) or importlib.import_module(f"{module}.command").main
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0, f"python -m {module} {' '.join(words)}: {err.getvalue()}"
    return out.getvalue()


def spans(text: str) -> list[str]:
    """What is set as code: shell blocks and code spans."""
    return [block or span for block, span in re.findall(r"```sh\n(.*?)```|`([^`\n]+)`", text, re.S)]


def test_every_command_is_in_the_list_of_commands() -> None:
    listed = (ROOT / "docs/operations/commands.md").read_text()
    files = [file for name in ("app", "policies", "stacks", "tests", "tools") for file in (ROOT / name).rglob("*.py")]
    ending = re.compile(r"^    sys\.exit\(run_command\(main\)\)$", re.M)
    commands = [file.relative_to(ROOT) for file in files if ending.search(file.read_text())]
    modules = [".".join(file.with_suffix("").parts).removesuffix(".__main__") for file in commands]
    assert modules
    assert [name for name in modules if not re.search(rf"python -m {re.escape(name)}[ `]", listed)] == []


def test_the_refusal_that_the_readme_shows_is_the_one_that_is_given() -> None:
    with pytest.raises(ValueError, match="poolSize") as refusal:
        settings_of("dev", {"database.poolSize": 100})
    [shown] = re.findall(r"```\n(database\.poolSize.*?)```", PAGES[0].read_text(), re.S)
    assert " ".join(shown.split()) in " ".join(str(refusal.value).split())


def test_every_page_is_reached_from_the_readme() -> None:
    seen, open_ = set[Path](), [ROOT / "README.md"]
    while open_:
        page = open_.pop()
        # What a test holds is another page as it was shown elsewhere: its links are from there.
        if page in seen or page.suffix != ".md" or page.is_relative_to(ROOT / "tests"):
            continue
        seen.add(page)
        links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
        targets = [(page.parent / link).resolve() for link in links]
        open_ += [file for target in targets for file in (target.rglob("*.md") if target.is_dir() else [target])]
    listed = subprocess.run(["git", "ls-files", "docs"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {ROOT / name for name in listed.split() if name.endswith(".md")} <= seen
