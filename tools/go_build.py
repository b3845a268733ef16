"""A tool built from a Go module that this repository pins: for machines that reach package registries only."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.activity import Report
from tools.catalogue import GoBuild, Tool, Unavailable

ENVIRONMENT = {
    "CGO_ENABLED": "0",
    # What is built is what go.sum lists; a GOFLAGS or go.work of the user's could change that.
    "GOFLAGS": "-mod=readonly -buildvcs=false",
    "GOWORK": "off",
    "GOTOOLCHAIN": "local",  # no other toolchain is fetched behind the user's back
}


def go_build(tool: Tool, build: GoBuild, target: Path, log: Path, report: Report) -> None:
    """Build the tool's binary at target, or raise Unavailable; what the compiler said is kept in log."""
    if shutil.which("go") is None:
        raise Unavailable("Go build: there is no go on PATH")
    log.write_text("")

    def fetching(lines: int) -> None:
        report(f"fetching the Go modules of {tool.name} {tool.version}: {lines} so far", lines, None)

    packages = _go(build.module, ["list", "-deps", build.package], log, fetching)
    total = len(packages.split())

    def compiling(lines: int) -> None:
        so_far = f"{lines} of {total} packages" if lines else f"{build.wait or 'a moment'} when nothing is cached"
        report(f"building {tool.name} {tool.version}: {so_far}", lines, total)

    flags = [flag.format(version=tool.version) for flag in build.flags]
    _go(build.module, ["build", "-v", *flags, "-o", str(target), build.package], log, compiling)


def _go(module: Path, arguments: Sequence[str], log: Path, on_line: Callable[[int], None]) -> str:
    """Run go in the module; its messages (one line a module fetched or a package compiled) go to the log."""
    with tempfile.TemporaryFile("w+") as output, log.open("a", buffering=1) as kept:
        with subprocess.Popen(
            ["go", *arguments],
            cwd=module,
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            last = ""
            on_line(0)
            try:
                for count, line in enumerate(process.stderr or (), start=1):
                    kept.write(line)
                    last = line.strip() or last
                    on_line(count)
            except BaseException:
                process.terminate()
                raise
        if process.returncode != 0:
            raise Unavailable(f"Go build: go {arguments[0]} failed: {last} (log: {log})")
        output.seek(0)
        return output.read()
