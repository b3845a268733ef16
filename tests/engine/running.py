"""An embedded cloud at work: commands of the engine, and what their events say of each resource."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks.embedded.engine import Event, export, open_workspace, run
from stacks.embedded.provider import CLOUDS
from stacks.embedded.store import Store, Stored
from stacks.embedded.workspace import Workspace

PROJECT = Path(__file__).with_name("project")
STACK = "test"


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it planned or did."""

    code: int
    text: str
    events: list[Event]

    @property
    def operations(self) -> dict[str, set[str]]:
        """The engine's operations by URN."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for event in self.events:
            metadata = event.get("resourcePreEvent", {}).get("metadata")
            if metadata and metadata["type"] != "pulumi:pulumi:Stack":
                found[metadata["urn"]].add(metadata["op"])
        return dict(found)

    def by_urn(self) -> dict[str, str]:
        """What changes: create, update, replace or delete; what stays is left out."""
        found: dict[str, str] = {}
        for urn, operations in self.operations.items():
            changing = operations - {"same", "refresh", "read"}
            if changing & {"replace", "create-replacement", "delete-replaced"}:
                found[urn] = "replace"
            elif changing:
                found[urn] = "/".join(sorted(changing))
        return found

    def effects(self) -> dict[str, str]:
        """The same by logical name, for programs that give none twice."""
        return {urn.rsplit("::", 1)[-1]: effect for urn, effect in self.by_urn().items()}

    def kinds(self) -> Counter[tuple[str, str]]:
        """How many resources of a kind have an effect; components and providers are left out."""
        types = {urn: urn.split("::")[2].rsplit("$", 1)[-1] for urn in self.operations}
        return Counter(
            (types[urn].rsplit(":", 1)[-1], effect)
            for urn, effect in self.by_urn().items()
            if types[urn].split(":", 1)[0] in CLOUDS
        )


@dataclass(frozen=True)
class Running:
    """A stack on the embedded cloud."""

    workspace: Workspace

    @property
    def store(self) -> Store:
        return Store(self.workspace.store)

    def command(self, *arguments: str) -> Outcome:
        events: list[Event] = []
        completed = run(self.workspace, arguments, events.append)
        return Outcome(completed.code, completed.stdout + completed.stderr, events)

    def up(self) -> Outcome:
        return self.command("up", "--yes", "--skip-preview")

    def must_up(self) -> Outcome:
        done = self.up()
        assert done.code == 0, done.text
        return done

    def preview(self) -> Outcome:
        return self.command("preview")

    def must_preview(self) -> Outcome:
        outcome = self.preview()
        assert outcome.code == 0, outcome.text
        return outcome

    def planned(self) -> dict[str, str]:
        """The effects of a preview that must succeed."""
        return self.must_preview().effects()

    def refresh(self) -> Outcome:
        return self.command("refresh", "--yes", "--skip-preview")

    def destroy(self) -> Outcome:
        return self.command("destroy", "--yes", "--skip-preview")

    def resources(self) -> dict[str, dict[str, Any]]:
        """The engine's state by logical name."""
        found = export(self.workspace)["deployment"].get("resources", [])
        return {entry["urn"].rsplit("::", 1)[-1]: entry for entry in found}

    def stored(self, name: str) -> Stored:
        """What the embedded cloud holds of a resource, by its logical name."""
        [row] = [row for row in self.store.all() if row.urn.rsplit("::", 1)[-1] == name]
        return row


def fixture_cloud(root: Path, pulumi: Path, **chosen: Any) -> Running:
    """The fixture's platform with some of its values chosen; opened again, it is the same stack with other values."""
    return _opened(root, pulumi, {"fixture:platform": json.dumps(chosen)})


def cloud_of(root: Path, pulumi: Path, *rows: dict[str, Any], **config: str) -> Running:
    """A stack of the resources listed."""
    settings = {f"fixture:{key}": value for key, value in config.items()}
    return _opened(root, pulumi, {"fixture:resources": json.dumps(rows), **settings})


def _opened(root: Path, pulumi: Path, config: dict[str, str]) -> Running:
    whole = {"pulumi:disable-default-providers": '["*"]', **config}
    return Running(open_workspace(STACK, pulumi, root, project=PROJECT, config=whole))
