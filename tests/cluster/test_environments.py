"""The Kubernetes half of the shipped environments on a real API server, from nothing to nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stacks.embedded.engine import export
from tests.cluster.api import UnknownKind
from tests.cluster.control_plane import ControlPlane
from tests.cluster.manifests import IMAGE, NEWER
from tests.cluster.nodes import launch
from tests.cluster.running import environment
from tests.engine.running import Running
from tests.environments import settings_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(580)]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_every_object_is_admitted_stands_still_follows_its_image_and_goes(
    stack: str, tmp_path: Path, pulumi: Path, own_server: ControlPlane
) -> None:
    launch(own_server, settings_of(stack))
    changes = {"teardown": True, "service.image": IMAGE}
    cloud = environment(tmp_path, pulumi, own_server, stack, changes)
    cloud.must_up()
    there = {urn: entry["inputs"] for urn, entry in entries(cloud).items() if "metadata" in entry["inputs"]}
    assert len(there) > 15
    assert [urn for urn, manifest in there.items() if not exists(own_server, manifest)] == []
    assert cloud.planned() == {}
    known = {urn: entry["inputs"] for urn, entry in entries(cloud).items()}
    refreshed = cloud.refresh()
    assert refreshed.code == 0, refreshed.text
    assert {urn: entry["inputs"] for urn, entry in entries(cloud).items()} == known

    cloud = environment(tmp_path, pulumi, own_server, stack, {**changes, "service.image": NEWER})
    kinds = {"Deployment", "Rollout"} if stack == "prod" else {"Deployment"}
    assert set(cloud.must_preview().kinds()) == {*((kind, "update") for kind in kinds), ("Job", "replace")}
    cloud.must_up()
    assert cloud.planned() == {}

    with_cluster = {urn for urn, entry in entries(cloud).items() if entry.get("deletedWith")}
    destroyed = cloud.destroy()
    assert destroyed.code == 0, destroyed.text
    assert cloud.resources() == {}
    assert {urn for urn, manifest in there.items() if exists(own_server, manifest)} <= with_cluster


def entries(cloud: Running) -> dict[str, dict[str, Any]]:
    """The engine's state of the cluster's resources, by URN."""
    resources = export(cloud.workspace)["deployment"]["resources"]
    return {row["urn"]: row for row in resources if row["type"].startswith("kubernetes:")}


def exists(server: ControlPlane, manifest: dict[str, Any]) -> bool:
    try:
        return server.api.get(manifest) is not None
    except UnknownKind:
        return False
