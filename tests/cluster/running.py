"""A stack whose Kubernetes half is a real API server: the engine with our plugin in the place of the embedded one."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from stacks.configuration import ROOT
from stacks.embedded.engine import Workspace, export, open_workspace
from stacks.embedded.kubernetes import CLUSTER
from stacks.embedded.store import Store, Stored
from tests.cluster.api import Manifest, UnknownKind
from tests.cluster.control_plane import ControlPlane
from tests.engine.running import PROJECT, STACK, Running
from tests.environments import config_of

PLACE = "https://kubernetes.example.com"


def environment(root: Path, pulumi: Path, server: ControlPlane, stack: str, changes: dict[str, Any]) -> Running:
    """A shipped environment with some of its settings changed; opened again, it is the same stack.

    Without service.image it has none: the embedded cloud's stand-in for one is for the checkout's own folder.
    """
    project = root / "project"
    project.mkdir(exist_ok=True)
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    (project / "Pulumi.yaml").write_text(yaml.safe_dump({**declared, "main": str(ROOT / "stacks")}))
    config = config_of(stack, changes)
    return _on(
        server, open_workspace(stack, pulumi, root / "clouds", project=project, config=config, checkpoints=False)
    )


def objects(root: Path, pulumi: Path, server: ControlPlane, *manifests: dict[str, Any], patience: int = 60) -> Running:
    """A stack of Kubernetes objects only, named by kind and name; its cluster is there before it."""
    rows = [
        {"type": _type(manifest), "name": f"{manifest['kind']}-{manifest['metadata']['name']}", "inputs": manifest}
        for manifest in manifests
    ]
    config = {
        "pulumi:disable-default-providers": '["*"]',
        "fixture:resources": json.dumps(rows),
        "fixture:kubeconfig": yaml.safe_dump({"clusters": [{"cluster": {"server": PLACE}}]}),
    }
    workspace = open_workspace(STACK, pulumi, root, project=PROJECT, config=config, checkpoints=False)
    Store(workspace.store).insert(Stored(CLUSTER, "fixture", "made by hand", {}, {"endpoint": PLACE}, "us-east-1"))
    return _on(server, workspace, patience)


def there(cloud: Running, server: ControlPlane) -> dict[str, Manifest]:
    """Every object of the state, by URN: the server has them all."""
    objects = {urn: entry["inputs"] for urn, entry in _entries(cloud).items() if "metadata" in entry["inputs"]}
    assert len(objects) > 15
    assert [urn for urn, manifest in objects.items() if not _exists(server, manifest)] == []
    return objects


def still(cloud: Running) -> None:
    """Nothing is planned, and a refresh changes nothing that the engine knows of the objects."""
    assert cloud.planned() == {}
    known = {urn: entry["inputs"] for urn, entry in _entries(cloud).items()}
    refreshed = cloud.refresh()
    assert refreshed.code == 0, refreshed.text
    assert {urn: entry["inputs"] for urn, entry in _entries(cloud).items()} == known


def gone(cloud: Running, server: ControlPlane, objects: dict[str, Manifest]) -> None:
    """Destroy all: the server has none of the objects, but those that end with the cluster."""
    with_cluster = {urn for urn, entry in _entries(cloud).items() if entry.get("deletedWith")}
    destroyed = cloud.destroy()
    assert destroyed.code == 0, destroyed.text
    assert cloud.resources() == {}
    assert {urn for urn, manifest in objects.items() if _exists(server, manifest)} <= with_cluster


def _entries(cloud: Running) -> dict[str, dict[str, Any]]:
    """The engine's state of the cluster's resources, by URN."""
    resources = export(cloud.workspace)["deployment"]["resources"]
    return {row["urn"]: row for row in resources if row["type"].startswith("kubernetes:")}


def _exists(server: ControlPlane, manifest: Manifest) -> bool:
    try:
        return server.api.get(manifest) is not None
    except UnknownKind:
        return False


def _type(manifest: dict[str, Any]) -> str:
    version = manifest["apiVersion"]
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{manifest['kind']}"


def _on(server: ControlPlane, workspace: Workspace, patience: int = 60) -> Running:
    launcher = workspace.directory / "bin" / "pulumi-resource-kubernetes"
    arguments = [str(server.kubeconfig), str(server.definitions), str(patience)]
    command = [sys.executable, "-m", "tests.cluster.provider", *arguments]
    launcher.write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n")
    return Running(workspace)
