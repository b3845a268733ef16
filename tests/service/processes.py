"""Real service processes: started, found by their ready file, and always ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.contract import OTHER_NAMES
from app.settings import CHECKOUT, PREFIX
from tests.service.waiting import eventually_sync

START_SECONDS = 120.0  # of a machine with much else to do


@dataclass(frozen=True)
class Running:
    """A service that listens."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def post(self, path: str, body: Mapping[str, object]) -> httpx.Response:
        return httpx.post(self.url + path, json=body, timeout=30)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30)

    def logged(self) -> list[dict[str, Any]]:
        """Its JSON log; what it says to people is apart, on stderr."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@dataclass(frozen=True)
class Services:
    """Starts services in a folder of the test."""

    folder: Path

    def environment(self, **settings: object) -> dict[str, str]:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(PREFIX) and name not in OTHER_NAMES
        }
        ours = {"port": 0, "data_directory": self.folder / "postgres", **settings}
        return clean | {PREFIX + name.upper(): str(value) for name, value in ours.items()}

    def command(self, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        """Runs a command of the service to its end."""
        return subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            cwd=CHECKOUT,
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def start(self, name: str = "service", **settings: object) -> Running:
        ready, log = self.folder / f"{name}.ready.json", self.folder / f"{name}.log"
        ready.unlink(missing_ok=True)
        with log.open("wb") as out, (self.folder / f"{name}.stderr").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "app", "serve", "--ready-file", str(ready)],
                cwd=CHECKOUT,
                env=self.environment(**settings),
                stdout=out,
                stderr=errors,
            )
        try:
            eventually_sync(lambda: ready.exists() or process.poll() is not None, START_SECONDS)
        except AssertionError:
            process.kill()
            raise
        assert ready.exists(), (self.folder / f"{name}.stderr").read_text()
        return Running(process, json.loads(ready.read_text())["url"], log)
