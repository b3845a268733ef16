"""Setting up starts from whatever python3 is first on PATH, also one that is too old."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.setup import ROOT, works

AS_AN_OLD_PYTHON = (
    "import runpy, sys; sys.version_info = (3, 9, 18); sys.version = '3.9.18 (old)'; "
    "sys.argv = ['tools/setup.py']; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def set_up_with_an_old_python(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AS_AN_OLD_PYTHON],
        cwd=ROOT,
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def command(path: Path, name: str, text: str) -> None:
    (path / name).write_text(f"#!/bin/sh\n{text}\n")
    (path / name).chmod(0o755)


def test_an_old_python_alone_is_refused_with_its_version_and_the_remedy(tmp_path: Path) -> None:
    result = set_up_with_an_old_python(tmp_path)
    assert result.returncode == 3
    assert "python3 is 3.9.18; this project needs 3.11 or later" in result.stderr
    assert "python3.12" in result.stderr


def test_an_old_python_hands_over_to_the_first_newer_one_that_runs(tmp_path: Path) -> None:
    command(tmp_path, "python3.11", "echo 'pyenv: python3.11: command not found' >&2; exit 127")
    command(tmp_path, "python3.12", 'if [ "$1" = -c ]; then exit 0; fi; echo "taken over: $*"')
    result = set_up_with_an_old_python(tmp_path)
    assert (result.returncode, result.stdout) == (0, "taken over: tools/setup.py\n")


@pytest.mark.parametrize("python", ["no-such-python", "false"])
def test_a_python_that_does_not_run_does_not_count(python: str) -> None:
    assert not works(python)


def test_the_python_of_these_tests_counts() -> None:
    assert works(sys.executable)
