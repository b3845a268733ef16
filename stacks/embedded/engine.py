"""A place where the real Pulumi CLI works on the embedded cloud, and cannot reach anything else.

Everything lives below ``.embedded/<stack>``: a generated project file, launchers for our plugins, the engine's own
home and backend, and the embedded cloud's memory. The environment of the CLI is made here from nothing.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from infra.settings import PROJECT
from stacks.configuration import ROOT, read_stack, with_checkout_image
from stacks.embedded.provider import CLOUDS, STORE_VARIABLE
from stacks.embedded.store import Store
from stacks.terminal import Exit, Refused

Event = dict[str, Any]
_EVENTFUL = ("up", "update", "preview", "refresh", "destroy")


@dataclass(frozen=True)
class Workspace:
    """One stack's embedded cloud."""

    stack: str
    directory: Path
    pulumi: Path

    @property
    def store(self) -> Path:
        """The embedded cloud's memory."""
        return self.directory / "cloud.sqlite"

    @property
    def project(self) -> Path:
        """Where the generated project file is."""
        return self.directory / "project"


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
) -> Workspace:
    """Make or refresh the workspace of a stack, and the stack in its backend.

    ``project`` holds Pulumi.yaml and Pulumi.<stack>.yaml; ``config`` replaces the latter's values. Raises Refused for
    an unknown stack, and for a store that is damaged or newer.
    """
    chosen = dict(config) if config is not None else read_stack(stack, project)
    if project == ROOT:
        chosen, _ = with_checkout_image(chosen)
    workspace = Workspace(stack, root.resolve() / stack, pulumi)
    for name in ("project", "bin", "home", "backend"):
        (workspace.directory / name).mkdir(parents=True, exist_ok=True)
    Store(workspace.store)  # refuses before the engine starts
    _passphrase(workspace)
    _launchers(workspace)
    _project_file(workspace, project)
    _stack_file(workspace, chosen)
    if not (workspace.directory / "backend" / ".pulumi" / "stacks" / _project_name(project) / f"{stack}.json").exists():
        made = run(workspace, ["stack", "init", stack])
        if made.code != 0:
            raise Refused(f"the engine could not make the stack:\n{made.stderr}", Exit.FAILED)
        _stack_file(workspace, chosen)
    return workspace


def run(workspace: Workspace, arguments: Sequence[str], on_event: Callable[[Event], None] | None = None) -> Completed:
    """Run a command of the CLI on the workspace's stack; engine events are handed over as they come."""
    command = [str(workspace.pulumi), "--non-interactive", "--color=never", "--cwd", str(workspace.project), *arguments]
    if (
        arguments[:2] not in (["stack", "init"], ["stack", "ls"])
        and "--stack" not in arguments
        and arguments[0] != "version"
    ):
        command += ["--stack", workspace.stack]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "events.jsonl")
        if on_event and arguments[0] in _EVENTFUL:
            command += ["--event-log", str(log)]
        process = subprocess.Popen(
            command,
            env=environment(workspace),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        follower = threading.Thread(target=_follow, args=(log, process, on_event or _ignore))
        follower.start()
        stdout, stderr = process.communicate()
        follower.join()
    return Completed(process.returncode, stdout, stderr)


def stack_outputs(workspace: Workspace) -> dict[str, Any]:
    """The outputs of the last update; secrets show as [secret]."""
    return cast("dict[str, Any]", _json_of(run(workspace, ["stack", "output", "--json"])))


def export(workspace: Workspace) -> dict[str, Any]:
    """The stack's state as ``pulumi stack export`` gives it."""
    return cast("dict[str, Any]", _json_of(run(workspace, ["stack", "export"])))


def environment(workspace: Workspace) -> dict[str, str]:
    """The CLI's whole environment: no credential, no home of the user, no service of Pulumi's or AWS's."""
    directory = workspace.directory
    return {
        "PATH": os.pathsep.join((str(directory / "bin"), "/usr/local/bin", "/usr/bin", "/bin")),
        "HOME": str(directory / "home"),
        "TMPDIR": tempfile.gettempdir(),
        "LANG": "C.UTF-8",
        "PULUMI_HOME": str(directory / "home"),
        "PULUMI_BACKEND_URL": f"file://{directory / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(directory / "passphrase"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_SKIP_CONFIRMATIONS": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_DEBUG_COMMANDS": "true",  # the CLI hides --event-log without it
        "AWS_EC2_METADATA_DISABLED": "true",  # an SDK that looked for a role would look on the network
        STORE_VARIABLE: str(workspace.store),
        "PYTHONPATH": str(ROOT),
        # The engine starts plugins in stacks/, where platform.py and secrets.py would hide the standard library's.
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _passphrase(workspace: Workspace) -> None:
    path = workspace.directory / "passphrase"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))


def _launchers(workspace: Workspace) -> None:
    """Our plugins under the names the engine looks for, on a PATH of ours."""
    modules = {"pulumi-language-python": "stacks.embedded.language_host"}
    modules |= {f"pulumi-resource-{package}": f"stacks.embedded.provider {package}" for package in CLOUDS}
    for name, module in modules.items():
        path = workspace.directory / "bin" / name
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n')
        path.chmod(0o755)


def _project_file(workspace: Workspace, project: Path) -> None:
    declared: dict[str, Any] = yaml.safe_load((project / "Pulumi.yaml").read_text())
    # The engine's own installation of the virtual environment is not wanted: we run in the project's.
    declared |= {"runtime": "python", "main": str((project / declared.get("main", ".")).resolve())}
    (workspace.project / "Pulumi.yaml").write_text(yaml.safe_dump(declared))


def _project_name(project: Path) -> str:
    return str(yaml.safe_load((project / "Pulumi.yaml").read_text()).get("name", PROJECT))


def _stack_file(workspace: Workspace, config: Mapping[str, str]) -> None:
    """The stack's configuration with the engine's own lines (the salt of its passphrase) kept."""
    path = workspace.project / f"Pulumi.{workspace.stack}.yaml"
    kept: dict[str, Any] = (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}
    values = {key: json.loads(text) if text[:1] in ("{", "[") else text for key, text in config.items()}
    path.write_text(yaml.safe_dump({**kept, "config": values}))


def _follow(log: Path, process: subprocess.Popen[str], on_event: Callable[[Event], None]) -> None:
    """Hand over each line of the event log once it is whole, until the process has ended."""
    position, rest = 0, b""
    while True:
        ended = process.poll() is not None
        if log.exists():
            with log.open("rb") as source:
                source.seek(position)
                rest += source.read()
                position = source.tell()
            *lines, rest = rest.split(b"\n")
            for line in filter(None, lines):
                on_event(json.loads(line))
        if ended:
            return
        time.sleep(0.1)


def _ignore(event: Event) -> None:
    del event


def _json_of(completed: Completed) -> Any:
    if completed.code != 0:
        raise Refused(f"the engine said:\n{completed.stderr}", Exit.FAILED)
    return json.loads(completed.stdout)
