"""What a test may ask of an image and of a container, whoever built the one and runs the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class ImageConfig:
    """What the image says about how it is run."""

    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    user: str = "0"
    directory: str = "/"
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    health_check: tuple[str, ...] = ()
    stop_signal: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


class Container(Protocol):
    """A process of the image on this machine's network, with a read-only root, an empty /tmp and no capability."""

    def running(self) -> bool: ...

    def stop(self) -> int:
        """Sends SIGTERM; gives the exit code."""
        ...

    def remove(self) -> None: ...

    def output(self) -> str: ...


class Image(Protocol):
    """An image that was built."""

    @property
    def config(self) -> ImageConfig: ...

    def files(self) -> frozenset[str]:
        """The files it adds to its base, as absolute paths."""
        ...

    def read(self, path: str) -> str: ...

    def start(self, environment: Mapping[str, str]) -> Container:
        """Its own command."""
        ...

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """Another command to its end: exit code and output."""
        ...


class BuildFailed(Exception):
    """An instruction failed; the message is what it said."""


class Builder(Protocol):
    """Builds images from Dockerfiles; `stages` are folders that stand for stages of that name."""

    def build(
        self, dockerfile: Path, context: Path, arguments: Mapping[str, str], stages: Mapping[str, Path]
    ) -> Image: ...

    def reference(self, image: Image) -> str:
        """The name of an image for the FROM of another."""
        ...
