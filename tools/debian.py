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

# Of the package debian-archive-keyring: without it apt believes no list of another release.
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def unpack(tool: Tool, package: DebianPackage, target: Path, report: Report) -> None:
    """Put a command that runs the package's binary at target, with what it needs beside it; or raise Unavailable."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Unavailable(f"Debian package: there is no apt-get here; install {tool.name} so that it is on PATH")
    beside = target.parent
    archives = _archives(package, beside, report)
    root = beside / "root"
    shutil.rmtree(root, ignore_errors=True)
    for archive in archives:
        _run("dpkg-deb", "--extract", str(archive), str(root))
    shutil.rmtree(beside / "apt", ignore_errors=True)
    shutil.rmtree(beside / "packages")
    libraries = sorted({file.parent.relative_to(root) for file in root.rglob("*.so.[0-9]*")})
    paths = ":".join(f"$root/{folder}" for folder in libraries)
    # A C library of its own works only with the loader that came with it.
    loader = next(root.glob("usr/lib/*/ld-linux-*.so.*"), None)
    with_loader = f'exec "$root/{loader.relative_to(root)}" --library-path "{paths}"' if loader else ""
    run = with_loader or f'export LD_LIBRARY_PATH="{paths}"\nexec'
    target.write_text(f'#!/bin/sh\nroot="${{0%/*}}/root"\n{run} "$root/{package.binary}" "$@"\n')
    target.chmod(0o755)


def _archives(package: DebianPackage, beside: Path, report: Report) -> list[Path]:
    fetched, own = beside / "packages", beside / "apt"
    if not package.suite:
        report(f"fetching the package {package.name}", 0, None)
        try:
            return _fetch(package, fetched, ())
        except Unavailable:
            pass  # the machine's lists are absent or outdated
    # Lists of our own need no root and leave the machine as it is.
    report(f"fetching the list of packages for {package.name}", 0, None)
    return _fetch(package, fetched, _own_lists(own, package.suite))


def _fetch(package: DebianPackage, folder: Path, lists: tuple[str, ...]) -> list[Path]:
    """The package and those it needs that this machine lacks; apt compares each with the signed list."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    planned = _run("apt-get", *lists, "--simulate", "--no-install-recommends", "install", package.name)
    names = {package.name, *re.findall(r"^Inst (lib\S+|zlib\S+)" if package.suite else r"^Inst (\S+)", planned, re.M)}
    _run("apt-get", *PATIENCE, *lists, "download", *sorted(names), folder=folder)
    return sorted(folder.glob("*.deb"))


def _own_lists(folder: Path, suite: str) -> tuple[str, ...]:
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    # As root apt would fetch as its own user, who cannot write here.
    place = ("-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}")
    lists = (*place, "-o", "APT::Sandbox::User=root")
    if suite:
        sources = folder / "sources.list"
        sources.write_text(f"deb [signed-by={KEYRING}] http://deb.debian.org/debian {suite} main\n")
        only = ("-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=/dev/null")
        # As if nothing were installed: what this machine has is of another release.
        lists = (*lists, *only, "-o", "Dir::State::status=/dev/null")
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
