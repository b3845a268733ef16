"""Runs commands in an image without a container engine: an overlay of the image's folders in a mount namespace.

The base image is this machine's /usr and /etc with this Python, and nothing else of it. Needs root, for the mounts.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.service.images import ImageConfig

PYTHON = Path(sys.base_prefix, "bin")
BASE_CONFIG = ImageConfig(
    environment={"PATH": f"/opt/base:{PYTHON}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
)
NO_PRIVILEGES = ("--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all")
LINKS = ("bin", "lib", "lib64", "sbin")
SECONDS = 30


def unavailable() -> str | None:
    """Why this machine cannot do it, or None."""
    if os.name != "posix" or os.geteuid() != 0:
        return "an overlay needs root"
    if not all(Path("/", link).is_symlink() for link in LINKS):
        return "/bin and its like are not links into /usr"
    missing = [tool for tool in ("unshare", "setpriv", "chroot", "mount") if not shutil.which(tool)]
    if missing:
        return f"there is no {', no '.join(missing)}"
    with tempfile.TemporaryDirectory() as folder:
        image = SandboxImage.of_this_machine(Path(folder))
        code, said = image.run(["pip", "--version"], {})
    return None if code == 0 else said.strip()


@dataclass(frozen=True)
class SandboxContainer:
    """One process in a mount namespace of its own, which ends with it."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def remove(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()


@dataclass(frozen=True)
class SandboxImage:
    """Folders that lie over each other, the newest first, and what the instructions said of running them."""

    base: Path
    mountpoint: Path
    layers: tuple[Path, ...] = ()
    config: ImageConfig = field(default=BASE_CONFIG)

    @classmethod
    def of_this_machine(cls, folder: Path) -> SandboxImage:
        base, mountpoint = folder / "base", folder / "mountpoint"
        mountpoint.mkdir()
        for name in ("dev", "opt/base", "proc", "root", "tmp", "usr", sys.base_prefix.strip("/")):
            (base / name).mkdir(parents=True, exist_ok=True)
        for link in LINKS:
            (base / link).symlink_to(f"usr/{link}")
        shutil.copytree("/etc", base / "etc", symlinks=True)
        if not (PYTHON / "python").exists():
            (base / "opt" / "base" / "python").symlink_to(PYTHON / f"python3.{sys.version_info.minor}")
        return cls(base, mountpoint)

    def files(self) -> frozenset[str]:
        found: set[str] = set()
        for layer in reversed(self.layers):
            for path in layer.rglob("*"):
                name = f"/{path.relative_to(layer)}"
                if path.is_char_device():  # overlay's mark of something removed
                    found = {other for other in found if other != name and not other.startswith(f"{name}/")}
                elif path.is_symlink() or not path.is_dir():
                    found.add(name)
        return frozenset(found)

    def read(self, path: str) -> str:
        return next(layer / path[1:] for layer in self.layers if (layer / path[1:]).exists()).read_text()

    def start(self, environment: Mapping[str, str]) -> SandboxContainer:
        return self._start([*self.config.entrypoint, *self.config.arguments], environment)

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        container = self._start(command, environment)
        try:
            return container.process.wait(SECONDS), container.output()
        finally:
            container.remove()

    def _start(self, command: Sequence[str], environment: Mapping[str, str]) -> SandboxContainer:
        user = self.config.user
        plain = ["setpriv", f"--reuid={user}", f"--regid={user}", *NO_PRIVILEGES, *command]
        argv = self.entering(plain, {**self.config.environment, **environment})
        log = tempfile.TemporaryFile()  # noqa: SIM115  closed with the container
        return SandboxContainer(subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT), log)

    def entering(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        binds: Sequence[tuple[Path, str]] = (),
        writable: bool = False,
    ) -> list[str]:
        """The command line that becomes `command` in the image; if writable, what it writes lands in the newest folder."""
        variables = [f"{name}={value}" for name, value in environment.items()]
        inside = [str(self.mountpoint), "env", "-i", "-C", self.config.directory, *variables, *command]
        script = "\n".join([*self._mounts(binds, writable), 'exec chroot "$@"'])
        return ["unshare", "--mount", "--propagation=private", "sh", "-euc", script, "sh", *inside]

    def _mounts(self, binds: Sequence[tuple[Path, str]], writable: bool) -> Iterator[str]:
        root = shlex.quote(str(self.mountpoint))
        upper, *below = self.layers if writable else (None, *self.layers)
        options = "lowerdir=" + ":".join(map(str, (*below, self.base)))
        if upper:
            work = upper.with_suffix(".work")
            work.mkdir(exist_ok=True)
            options += f",upperdir={upper},workdir={work}"
        else:
            options += f":{self.mountpoint}"  # an overlay without a writable folder needs two
        yield f"mount -t overlay overlay -o {shlex.quote(options)} {root}"
        for path in dict.fromkeys(("/usr", sys.base_prefix)):
            yield f"mount --bind -o ro {shlex.quote(path)} {root}{shlex.quote(path)}"
        for name in ("dev", "proc"):
            yield f"mount --rbind /{name} {root}/{name}"
        yield f"mount -t tmpfs -o mode=1777 tmpfs {root}/tmp"  # noqa: S108  the image's own
        for source, target in binds:
            yield f"mkdir -p {root}{target} && mount --bind {shlex.quote(str(source))} {root}{target}"
