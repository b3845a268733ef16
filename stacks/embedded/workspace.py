"""The folder of one stack's embedded cloud: what the CLI needs in it, and the environment the CLI runs in.

Everything lives below ``.embedded/<stack>``: a generated project file, launchers for our plugins, the engine's own
home and backend, and the embedded cloud's memory.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from stacks.configuration import ROOT
from stacks.embedded.provider import CLOUDS, STORE_VARIABLE


@dataclass(frozen=True)
class Workspace:
    """One stack's embedded cloud."""

    stack: str
    directory: Path
    pulumi: Path
    # Without, the engine writes its state once, at the end: dev's `up` takes 10 s of CPU for 25; killed, it leaves nothing.
    checkpoints: bool = True

    @property
    def store(self) -> Path:
        """The embedded cloud's memory."""
        return self.directory / "cloud.sqlite"

    @property
    def project(self) -> Path:
        """Where the generated project file is."""
        return self.directory / "project"

    @property
    def backend(self) -> Path:
        """Where the engine keeps its state."""
        return self.directory / "backend"


def prepare(workspace: Workspace, project: Path, config: Mapping[str, str]) -> None:
    """Write the files of a workspace; a file that is right already is not touched, a command may be reading it."""
    for name in ("project", "bin", "home", "backend"):
        (workspace.directory / name).mkdir(parents=True, exist_ok=True)
    passphrase = workspace.directory / "passphrase"
    if not passphrase.exists():
        passphrase.touch(mode=0o600)
        passphrase.write_text(secrets.token_urlsafe(32))
    _launchers(workspace.directory / "bin")
    _project_file(workspace, project)
    write_stack_file(workspace, config)


def environment(workspace: Workspace) -> dict[str, str]:
    """The CLI's whole environment: no credential, no home of the user, no service of Pulumi's or AWS's."""
    directory = workspace.directory
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(directory / "home"),
        "TMPDIR": tempfile.gettempdir(),
        "LANG": "C.UTF-8",
        "PULUMI_HOME": str(directory / "home"),
        # A killed CLI can leave an empty metadata file, with which it reads its own state no more (gocloud fileblob).
        "PULUMI_BACKEND_URL": f"file://{quote(str(workspace.backend))}?metadata=skip",
        "PULUMI_STACK": workspace.stack,
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
        **({} if workspace.checkpoints else {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}),
    }


def project_name(project: Path) -> str:
    """The name in a folder's Pulumi.yaml."""
    return str(yaml.safe_load((project / "Pulumi.yaml").read_text())["name"])


def write_stack_file(workspace: Workspace, config: Mapping[str, str]) -> None:
    """The stack's configuration with the engine's own lines (the salt of its passphrase) kept."""
    path = workspace.project / f"Pulumi.{workspace.stack}.yaml"
    kept: dict[str, Any] = (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}
    values = {key: json.loads(text) if text[:1] in ("{", "[") else text for key, text in config.items()}
    _write(path, yaml.safe_dump({**kept, "config": values}))


def _launchers(folder: Path) -> None:
    """Our plugins under the names the engine looks for."""
    modules = {"pulumi-language-python": "stacks.embedded.language_host"}
    modules |= {f"pulumi-resource-{package}": f"stacks.embedded.provider {package}" for package in CLOUDS}
    for name, module in modules.items():
        _write(folder / name, f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n')
        (folder / name).chmod(0o755)


def _project_file(workspace: Workspace, project: Path) -> None:
    declared: dict[str, Any] = yaml.safe_load((project / "Pulumi.yaml").read_text())
    folder = str(workspace.directory / "bin")
    declared |= {
        # The engine's own installation of the virtual environment is not wanted: we run in the project's.
        "runtime": "python",
        "main": str((project / declared.get("main", ".")).resolve()),
        # Named here, ours come before any other on PATH or beside the CLI, and without a warning.
        "plugins": {
            "languages": [{"name": "python", "path": folder}],
            "providers": [{"name": package, "path": folder} for package in CLOUDS],
        },
    }
    _write(workspace.project / "Pulumi.yaml", yaml.safe_dump(declared))


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    whole = path.with_name(f".{path.name}.{os.getpid()}")
    whole.write_text(text)
    whole.replace(path)
