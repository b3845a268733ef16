"""The shipped environments, each brought up once a run: what the engine said on the way, and copies that stand."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from policies.configuration import FOLDER
from stacks.configuration import ROOT
from stacks.embedded.engine import open_workspace
from tests.engine.running import Outcome, Running
from tests.environments import config_of
from tests.once import once_a_run

# Every check on, none of them strict: a shipped environment fails many, which comparisons of verdicts need.
ADVISORY = {"all": "advisory"}


def environment(root: Path, pulumi: Path, stack: str, changes: dict[str, Any] | None = None) -> Running:
    """A shipped environment with some of its settings changed; opened again, it is the same stack."""
    return Running(open_workspace(stack, pulumi, root, config=config_of(stack, changes), checkpoints=False))


def with_pack(*command: str, config: Path = FOLDER / "dev.json") -> tuple[str, ...]:
    """A command with the policy pack."""
    return (*command, "--policy-pack", str(ROOT / "policies"), "--policy-pack-config", str(config))


@dataclass(frozen=True)
class Standing:
    """An environment that is up as it is shipped, and what the commands said: with the policy pack for dev."""

    stack: str
    folder: Path

    @property
    def planned(self) -> Outcome:
        """A preview, of nothing."""
        return self._said("planned")

    @property
    def made(self) -> Outcome:
        """The `up`."""
        return self._said("made")

    @property
    def again(self) -> Outcome:
        """A preview, once it stood; it shows what stays as well."""
        return self._said("again")

    def copy(self, root: Path, pulumi: Path, changes: dict[str, Any] | None = None) -> Running:
        """A copy of its own below a folder that is not there yet."""
        shutil.copytree(self.folder / "clouds", root)
        return environment(root, pulumi, self.stack, changes)

    def _said(self, name: str) -> Outcome:
        return Outcome(**json.loads((self.folder / f"{name}.json").read_text()))


def brought_up(factory: pytest.TempPathFactory, stack: str, pulumi: Path) -> Standing:
    """The environment, which the first worker that needs it brings up."""

    def make(folder: Path) -> None:
        cloud = environment(folder / "clouds", pulumi, stack)
        levels = folder / "levels.json"
        levels.write_text(json.dumps(ADVISORY))
        pack = with_pack(config=levels) if stack == "dev" else ()
        for name, command in {
            "planned": ("preview", *pack),
            "made": ("up", "--yes", "--skip-preview", *pack),
            "again": ("preview", "--show-sames"),
        }.items():
            outcome = cloud.command(*command)
            assert outcome.code == 0, outcome.text
            (folder / f"{name}.json").write_text(json.dumps(asdict(outcome)))

    return Standing(stack, once_a_run(factory, f"standing {stack}", make))
