"""How long the engine's `up` takes from nothing, and how much memory at its peak; what grows with the resources."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from stacks.embedded.engine import export, open_workspace
from stacks.embedded.workspace import Workspace, environment
from stacks.terminal import Exit, Refused

FIXTURE = Path(__file__).parent.parent / "engine" / "project"
# Without checkpoints the engine does not write its whole state before and after each operation.
WITHOUT_CHECKPOINTS = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}


@dataclass(frozen=True)
class Up:
    """One `pulumi up` of an empty stack."""

    what: str
    resources: int
    seconds: float
    peak_mib: float  # of the CLI, the program and the plugins together
    without_checkpoints: float | None = None  # seconds


def up_of_stack(stack: str, pulumi: Path) -> Up:
    """A shipped environment from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = open_workspace(stack, pulumi, Path(folder))
        seconds, peak = _up(workspace, {})
        return Up(stack, len(export(workspace)["deployment"]["resources"]), seconds, peak)


def up_of_size(count: int, pulumi: Path) -> Up:
    """A generated program: subnets in one VPC, so that each has a reference that is looked up."""
    rows = [{"type": "aws:ec2/vpc:Vpc", "name": "vpc", "inputs": {"cidrBlock": "10.0.0.0/8"}}]
    rows += [
        {
            "type": "aws:ec2/subnet:Subnet",
            "name": f"subnet-{number}",
            "inputs": {"vpcId": {"from": "vpc.id"}, "cidrBlock": f"10.{number // 256}.{number % 256}.0/24"},
        }
        for number in range(count - 1)
    ]
    config = {"pulumi:disable-default-providers": '["*"]', "fixture:resources": json.dumps(rows)}
    measured: list[tuple[float, float]] = []
    for changes in ({}, WITHOUT_CHECKPOINTS):
        with tempfile.TemporaryDirectory() as folder:
            workspace = open_workspace("test", pulumi, Path(folder), project=FIXTURE, config=config)
            measured.append(_up(workspace, changes))
    (seconds, peak), (without, _) = measured
    return Up("generated", count, seconds, peak, without)


def _up(workspace: Workspace, changes: dict[str, str]) -> tuple[float, float]:
    """Seconds, and the largest sum of resident memory over the process tree, in MiB."""
    command = [str(workspace.pulumi), "--non-interactive", "--cwd", str(workspace.project), "up", "--yes"]
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--skip-preview"],
            env=environment(workspace) | changes,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(0.1)
        seconds = time.perf_counter() - started
        if process.returncode != 0:
            output.seek(0)
            words = output.read().decode()[-2000:]
            raise Refused(f"pulumi up of {workspace.stack} failed:\n{words}", Exit.FAILED)
    return seconds, peak / 2**20


def _resident(pid: int) -> int:
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(_own(process) for process in tree)


def _own(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:  # it ended meanwhile
        return 0
