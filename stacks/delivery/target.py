"""Where a stack is delivered to: the embedded cloud, or AWS by the CLI that is logged in."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

from infra.kubernetes.labels import SERVICE_NAME
from stacks.configuration import ROOT, SERVICE, read_stack, with_checkout_image
from stacks.embedded import engine
from stacks.embedded.engine import Completed, Event
from stacks.review.events import Preview, preview_of
from stacks.terminal import Exit, Refused

_WORKLOADS = ("kubernetes:apps/v1:Deployment", "kubernetes:argoproj.io/v1alpha1:Rollout")


class Target(Protocol):
    """A stack somewhere, and the engine that changes it."""

    @property
    def stack(self) -> str: ...
    def run(self, arguments: Sequence[str], events: list[Event] | None = None) -> Completed: ...
    def config(self) -> Mapping[str, str]: ...
    def with_image(self, image: str) -> Target: ...


@dataclass(frozen=True)
class Embedded:
    """The embedded cloud below ``root``; ``image`` in place of the configuration's."""

    stack: str
    pulumi: Path
    root: Path
    image: str | None = None
    settings: Mapping[str, str] | None = None
    checkpoints: bool = True  # the engine's state after each step: stacks/embedded/workspace.py

    def config(self) -> Mapping[str, str]:
        chosen, _ = with_checkout_image(dict(self.settings or read_stack(self.stack)))
        if self.image:
            chosen[SERVICE] = json.dumps({**json.loads(chosen[SERVICE]), "image": self.image})
        return chosen

    def run(self, arguments: Sequence[str], events: list[Event] | None = None) -> Completed:
        workspace = engine.open_workspace(
            self.stack, self.pulumi, self.root, config=self.config(), checkpoints=self.checkpoints
        )
        return engine.run(workspace, arguments, events.append if events is not None else None)

    def with_image(self, image: str) -> Embedded:
        return replace(self, image=image)


@dataclass(frozen=True)
class Aws:
    """The stack of the backend that the CLI is logged in to, with this checkout's configuration and an image."""

    stack: str
    pulumi: Path
    image: str | None = None

    def config(self) -> Mapping[str, str]:
        chosen = read_stack(self.stack)
        if self.image:
            chosen[SERVICE] = json.dumps({**json.loads(chosen.get(SERVICE, "{}")), "image": self.image})
        return chosen

    def run(self, arguments: Sequence[str], events: list[Event] | None = None) -> Completed:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "events")
            more = ["--event-log", str(log)] if events is not None else []
            if self.image and arguments[0] in ("preview", "up"):
                more += ["--config", f"{SERVICE}.image={self.image}", "--config-path"]
            command = [str(self.pulumi), "--non-interactive", *arguments, "--stack", self.stack, *more]
            # The CLI hides --event-log without PULUMI_DEBUG_COMMANDS.
            environment = {**os.environ, "PULUMI_DEBUG_COMMANDS": "true", "PULUMI_SKIP_UPDATE_CHECK": "true"}
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            if events is not None and log.exists():
                events += [json.loads(line) for line in log.read_text().splitlines() if line]
        return Completed(done.returncode, done.stdout, done.stderr)

    def with_image(self, image: str) -> Aws:
        return Aws(self.stack, self.pulumi, image)


def preview(target: Target, *, policies: bool = True) -> tuple[Preview, list[Event]]:
    """What the engine would do, with the policy pack. Raises Refused when it could not tell."""
    pack = ["--policy-pack", str(ROOT / "policies")] if policies else []
    pack += ["--policy-pack-config", str(ROOT / "policies" / "config" / f"{target.stack}.json")] if policies else []
    events: list[Event] = []
    done = target.run(["preview", *pack], events)
    try:
        return preview_of(events, f"preview of {target.stack}"), events
    except Refused as refusal:
        raise Refused(f"{refusal}\n{done.stdout[-2000:]}{done.stderr[-2000:]}", Exit.FAILED) from None


def state_of(target: Target) -> dict[str, Any]:
    """The stack's export."""
    done = target.run(["stack", "export"])
    if done.code:
        raise Refused(f"{target.stack}: no state to be had: {done.stderr.strip()[-500:]}", Exit.FAILED)
    return cast("dict[str, Any]", json.loads(done.stdout))


def standing_image(state: Mapping[str, Any]) -> str | None:
    """The image that the service runs by a state; None before the first deployment."""
    for row in state["deployment"].get("resources") or ():
        if row["type"] in _WORKLOADS and row.get("inputs"):
            for container in row["inputs"]["spec"]["template"]["spec"]["containers"]:
                if container["name"] == SERVICE_NAME:  # the pooler's is another
                    return str(container["image"])
    return None
