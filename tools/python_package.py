"""A tool from PyPI in an environment of its own: its pins need not agree with ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tools.activity import Report
from tools.catalogue import PythonPackage, Tool, Unavailable


def install(tool: Tool, package: PythonPackage, target: Path, report: Report) -> None:
    """Put a link to the package's command at target, with its environment beside it; or raise Unavailable."""
    environment = target.parent / "environment"
    report(f"installing {tool.name} {tool.version} from PyPI", 0, None)
    shutil.rmtree(environment, ignore_errors=True)
    python = environment / "bin" / "python"
    # Found beside our own interpreter: make setup put it there.
    uv = Path(sys.executable).with_name("uv")
    for command in (
        [str(uv), "venv", "--quiet", "--python", sys.executable, str(environment)],
        [str(uv), "pip", "install", "--quiet", "--require-hashes", "--python", str(python), "-r", str(package.pins)],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise Unavailable(f"Python package: {error}") from None
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise Unavailable(f"Python package: {' '.join(command[1:3])} failed: {last}")
    target.unlink(missing_ok=True)
    target.symlink_to(Path("environment") / "bin" / package.command)
