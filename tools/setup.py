"""Make .venv from the pinned requirement files (`make setup`).

Run by whichever python3 is first on PATH, with the standard library only, so it must also load on a Python
that is too old for the project: it then goes on with a newer one, or says plainly what is missing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

NEEDED = (3, 11)
CANDIDATES = ("python3.11", "python3.12", "python3.13", "python3.14")
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "ready"  # make compares its time with those of the requirement files
UV_REQUIREMENTS = ROOT / "requirements" / "uv.txt"
REQUIREMENTS = ROOT / "requirements" / "dev.txt"
EXIT_FAILED, EXIT_MISSING = 1, 3  # as in stacks/terminal.py, which this cannot import yet


def main() -> int:
    if sys.version_info < NEEDED:
        return continue_with_a_newer_python()
    STAMP.unlink(missing_ok=True)
    if not works(str(VENV_PYTHON)):
        print(f"making .venv with Python {sys.version.split()[0]} ({sys.executable})", flush=True)
        if run([sys.executable, "-m", "venv", "--clear", str(VENV)]) != 0:
            print(
                "refused: this Python cannot make a virtual environment. On Debian: apt-get install python3-venv",
                file=sys.stderr,
            )
            return EXIT_MISSING
    print("installing the pinned packages", flush=True)
    if not (install_with_uv() or install_with_pip()):
        print(
            "failed: the packages of requirements/dev.txt could not be installed; the reason is above.", file=sys.stderr
        )
        return EXIT_FAILED
    STAMP.touch()
    return 0


def continue_with_a_newer_python() -> int:
    needed = ".".join(map(str, NEEDED))
    for name in CANDIDATES:
        if works(name):
            os.execvp(name, [name, *sys.argv])  # noqa: S606  the same script, by a Python from our own list
    print(
        f"refused: python3 is {sys.version.split()[0]}; this project needs {needed} or later. Install one so that "
        f"python3 or one of {', '.join(CANDIDATES)} is on PATH.",
        file=sys.stderr,
    )
    return EXIT_MISSING


def works(python: str) -> bool:
    """Whether the command runs and is new enough: a version manager's shim may exist and refuse."""
    check = f"import sys; sys.exit(sys.version_info < {NEEDED})"
    try:
        return subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def install_with_uv() -> bool:
    pip = [str(VENV_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    if run([*pip, "-r", str(UV_REQUIREMENTS)]) != 0:
        return False
    sync = [str(VENV / "bin" / "uv"), "pip", "sync", "--quiet", "--require-hashes", "--python", str(VENV_PYTHON)]
    return run([*sync, str(REQUIREMENTS), str(UV_REQUIREMENTS)]) == 0


def install_with_pip() -> bool:
    print("uv could not do it (it does not read pip's own configuration): trying pip, which is slower", flush=True)
    pip = [str(VENV_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    return run([*pip, "-r", str(REQUIREMENTS)]) == 0


def run(command: list[str]) -> int:
    try:
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    except OSError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
