"""``python -m tools.workflows``: .github/workflows judged by actionlint (correctness) and zizmor (security)."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from stacks.terminal import Exit, console, errors, run_command
from tools.activity import shown
from tools.catalogue import HERE, Unavailable
from tools.obtain import obtain

ROOT = HERE.parent
FOLDER = ROOT / ".github" / "workflows"


def main(arguments: list[str]) -> int:
    """Exit 1 for a finding; where actionlint cannot be had it is said, and zizmor judges alone."""
    argparse.ArgumentParser(prog="python -m tools.workflows", description=__doc__).parse_args(arguments)
    commands = [[str(Path(sys.executable).with_name("zizmor")), "--offline", "--quiet", str(FOLDER)]]
    try:
        with shown(errors) as report:
            commands.append([str(obtain("actionlint", report).path), *map(str, sorted(FOLDER.glob("*.yaml")))])
    except Unavailable as reason:
        errors.print(f"[yellow]actionlint did not judge the workflows:[/] {reason}", soft_wrap=True)
    codes = [subprocess.run(command, cwd=ROOT, check=False).returncode for command in commands]
    if any(codes):
        return Exit.FAILED
    console.print(f"{len(commands)} judges of {len(list(FOLDER.glob('*.yaml')))} workflows found nothing")
    return Exit.OK


if __name__ == "__main__":
    sys.exit(run_command(main))
