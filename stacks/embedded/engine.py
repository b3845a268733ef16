"""The real Pulumi CLI on a workspace of the embedded cloud, where it cannot reach anything else."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from stacks.configuration import ROOT, read_stack, with_checkout_image
from stacks.embedded.store import Store
from stacks.embedded.workspace import Workspace, environment, prepare, project_name, write_stack_file
from stacks.terminal import Exit, Refused, errors

Event = dict[str, Any]
_EVENTFUL = ("up", "update", "preview", "refresh", "destroy")
_DEAD_WITHIN = 3.0  # seconds in which the plugins of a killed engine end; they look every half second


@dataclass(frozen=True)
class Completed:
    """How a command of the CLI ended."""

    code: int
    stdout: str
    stderr: str


def open_workspace(
    stack: str,
    pulumi: Path,
    root: Path = ROOT / ".embedded",
    *,
    project: Path = ROOT,
    config: Mapping[str, str] | None = None,
    checkpoints: bool = True,
) -> Workspace:
    """Make or refresh the workspace of a stack, and the stack in its backend.

    ``project`` holds Pulumi.yaml and Pulumi.<stack>.yaml; ``config`` replaces the latter's values. What a killed
    command left is set right. Raises Refused for an unknown stack, and for a store that is damaged or newer.
    """
    chosen = dict(config) if config is not None else read_stack(stack, project)
    if project == ROOT:
        chosen, _ = with_checkout_image(chosen)
    workspace = Workspace(stack, root.resolve() / stack, pulumi, checkpoints)
    Store(workspace.store)  # refuses before anything else is written
    prepare(workspace, project, chosen)
    state = workspace.backend / ".pulumi" / "stacks" / project_name(project) / f"{stack}.json"
    if not state.exists():
        made = run(workspace, ["stack", "init", stack])
        if made.code != 0:
            raise Refused(f"the engine could not make the stack:\n{made.stderr}", Exit.FAILED)
        write_stack_file(workspace, chosen)
    recover(workspace)
    return workspace


def run(workspace: Workspace, arguments: Sequence[str], on_event: Callable[[Event], None] | None = None) -> Completed:
    """Run a command of the CLI on the workspace's stack; engine events are handed over as they come."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        out, err = (stack.enter_context(Path(folder, name).open("w+b")) for name in ("out", "err"))
        source: int | None = None
        if on_event and arguments[0] in _EVENTFUL:
            pipe = Path(folder, "events")
            # A pipe and not a file: the CLI opens its log anew, and so empties it, between a preview and its update.
            os.mkfifo(pipe)
            source = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
            stack.callback(os.close, source)
            arguments = [*arguments, "--event-log", str(pipe)]
        process = stack.enter_context(_started(workspace, arguments, out, err))
        if source is not None and on_event:
            _follow(source, process, on_event)
        process.wait()
        for output in (out, err):
            output.seek(0)
        return Completed(process.returncode, out.read().decode(), err.read().decode())


def run_attached(workspace: Workspace, arguments: Sequence[str]) -> int:
    """Run a command of the CLI with our own standard output and error; its exit code."""
    with _started(workspace, arguments, None, None) as process:
        return process.wait()


def stack_outputs(workspace: Workspace) -> dict[str, Any]:
    """The outputs of the last update; secrets show as [secret]."""
    return cast("dict[str, Any]", _json_of(run(workspace, ["stack", "output", "--json"])))


def export(workspace: Workspace) -> dict[str, Any]:
    """The stack's state as ``pulumi stack export`` gives it."""
    return cast("dict[str, Any]", _json_of(run(workspace, ["stack", "export"])))


def recover(workspace: Workspace) -> None:
    """Set right what a killed command left: its lock, and creations that it did not see the end of."""
    if not list((workspace.backend / ".pulumi" / "locks").rglob("*.json")) or not _nothing_runs(workspace):
        return
    _succeed(run(workspace, ["cancel", "--yes"]))
    state = export(workspace)
    begun, done = _take_up_creations(state["deployment"], Store(workspace.store))
    if begun:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "state.json").write_text(json.dumps(state))
            _succeed(run(workspace, ["stack", "import", "--file", str(Path(folder, "state.json"))]))
        _succeed(run(workspace, ["refresh", "--yes", "--skip-preview"]))  # their outputs
    errors.print(
        f"a command on {workspace.stack} was killed: its lock was released; of {begun} creations under way, "
        f"{done} had been done and were taken into the state",
        soft_wrap=True,
    )


def _take_up_creations(deployment: dict[str, Any], store: Store) -> tuple[int, int]:
    """Move creations that were done from the pending operations to the resources; how many were begun and done.

    On AWS a person looks the ids up and edits the state in the same way. The CLI's own --import-pending-creates
    changes only the kind of the operation, and the next refresh drops it (pulumi 3.259).
    """
    resources: list[dict[str, Any]] = deployment.setdefault("resources", [])
    creating = [entry for entry in deployment.get("pending_operations", []) if entry["type"] == "creating"]
    known = {(entry["urn"], entry.get("id")) for entry in resources}
    done = 0
    for resource in (entry["resource"] for entry in creating):
        for row in store.of_urn(resource["urn"]):
            if (row.urn, row.id) in known:
                continue
            for replaced in resources:
                if replaced["urn"] == row.urn:
                    replaced["delete"] = True
            resources.append({**resource, "id": row.id})
            done += 1
    deployment["pending_operations"] = [
        entry for entry in deployment.get("pending_operations", []) if entry not in creating
    ]
    return len(creating), done


@contextmanager
def _started(
    workspace: Workspace, arguments: Sequence[str], out: IO[bytes] | None, err: IO[bytes] | None
) -> Generator[subprocess.Popen[bytes]]:
    """The CLI at work. It and its plugins hold a lock, which says that they live better than a process id could."""
    command = [str(workspace.pulumi), "--non-interactive", "--color=never", "--cwd", str(workspace.project), *arguments]
    variables = environment(workspace)
    if "--preview-only" in arguments:  # the CLI takes the variable for --yes, and refuses the two together
        del variables["PULUMI_SKIP_CONFIRMATIONS"]
    with (workspace.directory / "in-use").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        process = subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            pass_fds=[lock.fileno()],
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # the engine ends what it began, saves its state and releases its lock
            process.wait()


def _nothing_runs(workspace: Workspace) -> bool:
    deadline = time.monotonic() + _DEAD_WITHIN
    with (workspace.directory / "in-use").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return False
            time.sleep(0.1)


def _follow(source: int, process: subprocess.Popen[bytes], on_event: Callable[[Event], None]) -> None:
    """Hand over each event once its line is whole, until the process has ended."""
    rest = b""
    while True:
        ended = process.poll() is not None
        while chunk := _read(source):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                on_event(json.loads(line))
        if ended:
            return
        time.sleep(0.05)


def _read(source: int) -> bytes:
    try:
        return os.read(source, 1 << 20)
    except BlockingIOError:  # the CLI is there and has nothing to say
        return b""


def _succeed(completed: Completed) -> Completed:
    if completed.code != 0:
        raise Refused(f"the engine said:\n{completed.stdout[-2000:]}{completed.stderr}", Exit.FAILED)
    return completed


def _json_of(completed: Completed) -> Any:
    return json.loads(_succeed(completed).stdout)
