"""Builds an image without a builder: does what the Dockerfile's instructions say, each stage in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from tests.service.dockerfile import Instruction, expand, read_dockerfile, sent_files
from tests.service.images import BuildFailed, Image, ImageConfig
from tests.service.sandbox import SandboxImage

RUN_SECONDS = 300
# How this machine reaches its package index.
PASSED_ON = re.compile(r"PIP_|SSL_CERT|REQUESTS_CA|(?i:https?_proxy|no_proxy)")


class Sandbox:
    """A builder of images that are folders below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = count()
        self._base = SandboxImage.of_this_machine(folder)
        self._images: dict[str, SandboxImage] = {}

    def build(
        self, dockerfile: Path, context: Path, arguments: Mapping[str, str], stages: Mapping[str, Path]
    ) -> SandboxImage:
        sent = self._new_folder("context")
        for file in sent_files(context):
            (sent / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(context / file, sent / file, follow_symlinks=False)
        folders = dict(stages)
        outer: dict[str, str] = {}
        stage: _Stage | None = None
        skipped = False
        for instruction in read_dockerfile(dockerfile):
            if instruction.name == "FROM":
                reference, _, name = expand(instruction.rest, outer).partition(" AS ")
                skipped = name in stages
                if not skipped:
                    stage = _Stage(self._on_top_of(reference), sent, folders, arguments)
                    folders[name] = stage.image.layers[0]
            elif stage is None and not skipped:
                outer |= _argument(instruction, arguments)
            elif stage is not None and not skipped:
                stage.follow(instruction)
        assert stage is not None
        return stage.image

    def reference(self, image: Image) -> str:
        assert isinstance(image, SandboxImage)
        name = f"image-{next(self._names)}"
        self._images[name] = image
        return name

    def _on_top_of(self, name: str) -> SandboxImage:
        """An empty layer over an image that was built before, or over the base."""
        below = self._images.get(name, self._base)
        return replace(below, layers=(self._new_folder("layer"), *below.layers))

    def _new_folder(self, kind: str) -> Path:
        folder = self._folder / f"{kind}-{next(self._names)}"
        folder.mkdir()
        return folder


@dataclass
class _Stage:
    """One FROM and what follows it; `folders` are the stages before it."""

    image: SandboxImage
    context: Path
    folders: Mapping[str, Path]
    given: Mapping[str, str]
    arguments: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def config(self) -> ImageConfig:
        return self.image.config

    def follow(self, instruction: Instruction) -> None:
        variables = {**self.arguments, **self.config.environment}
        rest = instruction.rest if instruction.name == "RUN" else expand(instruction.rest, variables)
        match instruction.name:
            case "ARG":
                self.arguments |= _argument(instruction, self.given)
            case "COPY":
                self._copy(instruction, rest)
            case "RUN":
                self._run(instruction, variables)
            case name:
                if name == "WORKDIR":
                    (self.image.layers[0] / rest[1:]).mkdir(parents=True, exist_ok=True)
                self.image = replace(self.image, config=_configured(self.config, name, rest))

    def _copy(self, instruction: Instruction, names: str) -> None:
        source_name, target_name = names.split()
        stage = instruction.flag("from")
        source = (self.folders[stage] if stage else self.context) / source_name.strip("/")
        target = self.image.layers[0] / target_name.strip("/")
        if not source.exists():
            raise BuildFailed(f"COPY {names}: no such file in {stage or 'the context'}")
        if source.is_dir():
            # Nothing changes an earlier stage any more: linked, its thousands of files are there at once.
            shutil.copytree(
                source, target, symlinks=True, dirs_exist_ok=True, copy_function=os.link if stage else shutil.copy2
            )
            return
        if target_name.endswith("/"):
            target = target / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
        if mode := instruction.flag("chmod"):
            target.chmod(int(mode, 8))

    def _run(self, instruction: Instruction, variables: Mapping[str, str]) -> None:
        assert self.config.user == "0", "the sandbox does not RUN as another user"
        host = {name: value for name, value in os.environ.items() if PASSED_ON.match(name)}
        argv = self.image.entering(
            ["sh", "-c", instruction.rest],
            {**host, "HOME": "/root", **variables},
            [bind for flag, text in instruction.flags if flag == "mount" for bind in self._binds(text)],
            writable=True,
        )
        done = subprocess.run(argv, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
        if done.returncode != 0:
            raise BuildFailed(f"RUN {instruction.rest}\n{done.stdout}{done.stderr}")

    def _binds(self, mount: str) -> list[tuple[Path, str]]:
        options = dict(part.split("=", 1) for part in mount.split(","))
        match options["type"]:
            case "cache":
                # Kept between builds, as a builder's own is: the packages are a hundred megabytes.
                cache = Path.home() / ".cache" / "pip"
                cache.mkdir(parents=True, exist_ok=True)
                return [(cache, options["target"])]
            case "secret":
                return []  # none is given
            case other:
                raise AssertionError(f"--mount=type={other}: the sandbox does not know this mount")


def _configured(config: ImageConfig, name: str, rest: str) -> ImageConfig:
    match name:
        case "ENV":
            return replace(config, environment={**config.environment, **_pairs(rest)})
        case "LABEL":
            return replace(config, labels={**config.labels, **_pairs(rest)})
        case "USER":
            return replace(config, user=rest)
        case "WORKDIR":
            return replace(config, directory=rest)
        case "ENTRYPOINT":
            return replace(config, entrypoint=tuple(json.loads(rest)))
        case "CMD":
            return replace(config, arguments=tuple(json.loads(rest)))
        case "HEALTHCHECK":
            return replace(config, health_check=tuple(json.loads(rest.removeprefix("CMD "))))
        case "STOPSIGNAL":
            return replace(config, stop_signal=rest)
        case "EXPOSE":
            return config
        case _:
            raise AssertionError(f"{name}: the sandbox does not know this instruction")


def _argument(instruction: Instruction, given: Mapping[str, str]) -> dict[str, str]:
    assert instruction.name == "ARG"
    name, _, default = instruction.rest.partition("=")
    return {name: given.get(name, default)}


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in shlex.split(text))
