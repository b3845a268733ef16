"""Builds and runs images with Docker or Podman, where one is installed, runs, and has the base image."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from uuid import uuid4

from tests.service.images import BuildFailed, Image, ImageConfig

BUILD_SECONDS, PULL_SECONDS, SECONDS = 600, 120, 60
# As the pods run it; the host's network, where the test's PostgreSQL listens; the test itself asks for health.
PLAIN = (
    "--network=host",
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--no-healthcheck",
)


def find_engine(base: str) -> tuple[str | None, str]:
    """The engine that can build on `base`, and why the others cannot."""
    reasons: list[str] = []
    for name in ("docker", "podman"):
        if not shutil.which(name):
            reasons.append(f"there is no {name}")
        elif _call(name, "info").returncode != 0:
            reasons.append(f"{name} does not run")
        elif _call(name, "image", "inspect", base).returncode != 0 and _pull(name, base):
            reasons.append(f"{name} cannot have {base}")
        else:
            return name, ""
    return None, ", ".join(reasons)


def _pull(engine: str, image: str) -> bool:
    """Whether it failed."""
    try:
        return _call(engine, "pull", image, seconds=PULL_SECONDS).returncode != 0
    except subprocess.TimeoutExpired:
        return True


def _call(engine: str, *arguments: str, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    return subprocess.run([engine, *arguments], capture_output=True, text=True, timeout=seconds, check=False)


def _said(engine: str, *arguments: str) -> str:
    done = _call(engine, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class EngineContainer:
    """A container by its id."""

    engine: str
    id: str

    def running(self) -> bool:
        return _said(self.engine, "inspect", "--format={{.State.Running}}", self.id) == "true"

    def stop(self) -> int:
        _said(self.engine, "kill", "--signal=TERM", self.id)
        return int(_said(self.engine, "wait", self.id))

    def remove(self) -> None:
        _said(self.engine, "rm", "--force", self.id)

    def output(self) -> str:
        done = _call(self.engine, "logs", self.id)
        return done.stdout + done.stderr


@dataclass(frozen=True)
class EngineImage:
    """An image by its name."""

    engine: str
    name: str
    base: str

    @property
    def config(self) -> ImageConfig:
        said: dict[str, Any] = json.loads(_said(self.engine, "image", "inspect", self.name))[0]
        config = said["Config"]
        return ImageConfig(
            environment=dict(pair.split("=", 1) for pair in config["Env"]),
            user=config["User"],
            directory=config["WorkingDir"],
            entrypoint=tuple(config["Entrypoint"]),
            arguments=tuple(config["Cmd"]),
            health_check=tuple((config.get("Healthcheck") or said["Healthcheck"])["Test"][1:]),
            stop_signal=config["StopSignal"],
            labels=config["Labels"],
        )

    def files(self) -> frozenset[str]:
        return frozenset(self._members(self.name) - self._members(self.base))

    def read(self, path: str) -> str:
        code, said = self.run(["python", "-c", f"print(open({path!r}).read(), end='')"], {})
        assert code == 0, said
        return said

    def start(self, environment: Mapping[str, str]) -> EngineContainer:
        return EngineContainer(
            self.engine, _said(self.engine, "run", "--detach", *PLAIN, *_variables(environment), self.name)
        )

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        first, *rest = command
        options = [*PLAIN, *_variables(environment), f"--entrypoint={first}"]
        done = _call(self.engine, "run", "--rm", *options, self.name, *rest)
        return done.returncode, done.stdout + done.stderr

    def _members(self, image: str) -> set[str]:
        container = _said(self.engine, "create", image, "true")
        try:
            with TemporaryFile() as archive:
                subprocess.run([self.engine, "export", container], stdout=archive, check=True, timeout=SECONDS)
                archive.seek(0)
                with tarfile.open(fileobj=archive) as members:
                    return {f"/{member.name}" for member in members if not member.isdir()}
        finally:
            _said(self.engine, "rm", container)


@dataclass(frozen=True)
class Engine:
    """Docker or Podman; both understand the same command line."""

    name: str
    base: str
    built: list[str] = field(default_factory=list[str])

    def build(
        self, dockerfile: Path, context: Path, arguments: Mapping[str, str], stages: Mapping[str, Path]
    ) -> EngineImage:
        tag = f"localhost/langgraph-eks-test:{uuid4().hex}"
        options = [
            "--network=host",
            f"--file={dockerfile}",
            f"--tag={tag}",
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            *(f"--build-context={name}={folder}" for name, folder in stages.items()),
            *(["--format=docker"] if self.name == "podman" else []),  # OCI's own format has no health check
        ]
        done = _call(self.name, "build", *options, str(context), seconds=BUILD_SECONDS)
        if done.returncode != 0:
            raise BuildFailed(done.stdout + done.stderr)
        self.built.append(tag)
        return EngineImage(self.name, tag, self.base)

    def reference(self, image: Image) -> str:
        assert isinstance(image, EngineImage)
        return image.name

    def remove_images(self) -> None:
        """All that it built, newest first: an image goes before the one it lies on."""
        for tag in reversed(self.built):
            _said(self.name, "image", "rm", tag)


def _variables(environment: Mapping[str, str]) -> list[str]:
    return [f"--env={name}={value}" for name, value in environment.items()]
