"""A tool from the distribution's own signed packages, unpacked into the project's folder: no root, nothing installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tools.activity import Report
from tools.catalogue import DebianPackage, Tool, Unavailable

# A closed network should fail in seconds: apt's own limit is 30 s for each of several tries.
PATIENCE = ("-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10", "-o", "Acquire::Retries=1")


def unpack(tool: Tool, package: DebianPackage, target: Path, report: Report) -> None:
    """Put a command that runs the package's binary at target, with what it needs beside it; or raise Unavailable."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Unavailable(f"Debian package: there is no apt-get here; install {tool.name} so that it is on PATH")
    beside = target.parent
    report(f"fetching the package {package.name}", 0, None)
    try:
        archives = _fetch(package, beside / "packages", ())
    except Unavailable:
        # The machine's lists are absent or outdated. Lists of our own need no root and leave the machine as it is.
        report(f"fetching the list of packages for {package.name}", 0, None)
        lists = _own_lists(beside / "apt")
        archives = _fetch(package, beside / "packages", lists)
    root = beside / "root"
    shutil.rmtree(root, ignore_errors=True)
    for archive in archives:
        _run("dpkg-deb", "--extract", str(archive), str(root))
    shutil.rmtree(beside / "apt", ignore_errors=True)
    shutil.rmtree(beside / "packages")
    libraries = sorted({file.parent.relative_to(root) for file in root.rglob("*.so.[0-9]*")})
    paths = ":".join(f"$root/{folder}" for folder in libraries)
    target.write_text(
        f'#!/bin/sh\nroot="${{0%/*}}/root"\nexport LD_LIBRARY_PATH="{paths}"\nexec "$root/{package.binary}" "$@"\n'
    )
    target.chmod(0o755)


def _fetch(package: DebianPackage, folder: Path, lists: tuple[str, ...]) -> list[Path]:
    """The package and those it needs that this machine lacks; apt compares each with the signed list."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    planned = _run("apt-get", *lists, "--simulate", "--no-install-recommends", "install", package.name)
    names = {package.name, *re.findall(r"^Inst (\S+)", planned, re.M)}
    _run("apt-get", *PATIENCE, *lists, "download", *sorted(names), folder=folder)
    return sorted(folder.glob("*.deb"))


def _own_lists(folder: Path) -> tuple[str, ...]:
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    # As root apt would fetch as its own user, who cannot write here.
    place = ("-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}")
    lists = (*place, "-o", "APT::Sandbox::User=root")
    _run("apt-get", *PATIENCE, *lists, "update")
    return lists


def _run(*command: str, folder: Path | None = None) -> str:
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except OSError as error:
        raise Unavailable(f"Debian package: {error}") from error
    except subprocess.CalledProcessError as error:
        said = [line for line in error.stderr.splitlines() if line.startswith("E:")] or error.stderr.splitlines()
        raise Unavailable(f"Debian package: {command[0]} failed: {' '.join(said[:2])}") from error
