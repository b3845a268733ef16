"""The graph of another commit: its own program, run from its own files, in a process without credentials."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stacks.configuration import ROOT
from stacks.graph import Graph
from stacks.graph_text import from_text
from stacks.terminal import Exit, Refused

_SECONDS = 120


def commit_of(reference: str) -> str:
    """The commit that a branch, tag or hash names. Raises Refused when there is none."""
    return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}").decode().strip()


@contextmanager
def files_at(commit: str, *paths: str) -> Generator[Path]:
    """A folder with the files of a commit, or those below some paths. Raises Refused when the commit has none."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", commit, *paths))) as archive:
            try:
                archive.extractall(folder, filter="data")
            except tarfile.FilterError as failure:  # a link that leads out of the folder
                raise Refused(f"commit {commit[:12]}: cannot be unpacked: {failure}.", Exit.FAILED) from None
        yield Path(folder)


@contextmanager
def graphs_at(commit: str, stacks: Sequence[str]) -> Generator[dict[str, subprocess.Popen[str]]]:
    """Processes that capture the stacks of a commit, all at once; those that it does not have are left out."""
    with files_at(commit) as folder:
        known = [stack for stack in stacks if (folder / f"Pulumi.{stack}.yaml").is_file()]
        running = {stack: _capturing(stack, folder) for stack in known}
        try:
            yield running
        finally:
            for process in running.values():
                process.kill()
                process.wait()


def graph_from(process: subprocess.Popen[str], stack: str, commit: str) -> Graph:
    """What such a process captured. Raises Refused when it could not: then nothing can be compared."""
    try:
        text, said = process.communicate(timeout=_SECONDS)
        if process.returncode == 0:
            return from_text(text)
        reason = said.strip()[-500:]
    except (subprocess.TimeoutExpired, ValueError) as failure:
        reason = str(failure)
    raise Refused(
        f"base={commit[:12]}: its {stack} cannot be captured, so nothing can be compared: {reason}", Exit.FAILED
    )


def _capturing(stack: str, folder: Path) -> subprocess.Popen[str]:
    # -P: `python -m` would put the checkout at hand first; PYTHONPATH names the other one.
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "VIRTUAL_ENV") if key in os.environ}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "stacks.capture", "--stack", stack, "--state"],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(folder), "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode().strip() or "there is no such commit here"
        raise Refused(f"git {arguments[0]} {arguments[-1]}: {said}. Fetch it first.", Exit.FAILED)
    return done.stdout
