"""The shipped environments through the real engine on the embedded cloud, from nothing to nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stacks.configuration import ROOT
from stacks.embedded.engine import open_workspace
from tests.engine.running import Running
from tests.environments import config_of

pytestmark = [pytest.mark.engine, pytest.mark.timeout(580)]
TEARDOWN = {"teardown": True}


def environment(root: Path, pulumi: Path, stack: str, changes: dict[str, Any] | None = None) -> Running:
    """A shipped environment with some of its settings changed; opened again, it is the same stack."""
    return Running(open_workspace(stack, pulumi, root, config=config_of(stack, changes), checkpoints=False))


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, pulumi: Path) -> Path:
    """dev, up."""
    root = tmp_path_factory.mktemp("dev")
    cloud = environment(root, pulumi, "dev")
    planned = cloud.must_preview().by_urn()
    assert set(planned.values()) == {"create"}
    assert cloud.must_up().by_urn() == planned
    return root


def test_a_second_preview_and_a_refresh_of_dev_change_nothing(dev: Path, pulumi: Path) -> None:
    cloud = environment(dev, pulumi, "dev")
    assert cloud.planned() == {}
    assert cloud.refresh().effects() == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"database.backupRetentionDays": 5}, {("Instance", "update"): 1}, id="how long backups are kept"),
        pytest.param(
            {"service.workers.maxReplicas": 7},
            {("HorizontalPodAutoscaler", "update"): 1, ("ResourceQuota", "update"): 1},
            id="replicas",
        ),
    ],
)
def test_one_setting_of_dev_changes_exactly_what_it_says(
    dev: Path, pulumi: Path, changes: dict[str, Any], expected: dict[tuple[str, str], int]
) -> None:
    cloud = environment(dev, pulumi, "dev", changes)
    assert cloud.must_preview().kinds() == expected


def test_a_replacement_in_the_middle_of_dev_finishes_and_dev_comes_down_without_a_trace(
    dev: Path, pulumi: Path
) -> None:
    changes = {
        "network.zones.0.data": "10.20.12.0/24",
        "network.zones.0.private": "10.20.128.0/19",
        "nodes.system.instanceTypes": ["m6i.large"],
    }
    cloud = environment(dev, pulumi, "dev", changes)
    planned = cloud.must_preview()
    # Not the cluster, which stands in subnets of its own, nor what hangs on its security group.
    assert {kind for kind, effect in planned.kinds() if effect == "replace"} == {
        "Subnet",
        "RouteTableAssociation",
        "NodeGroup",
    }
    # A block with an unknown in it is unknown as a whole to what reads it, so a preview may plan more than is done.
    assert cloud.must_up().by_urn().items() <= planned.by_urn().items()
    assert cloud.planned() == {}
    destroyed = cloud.destroy()
    assert destroyed.code == 0, destroyed.text
    assert cloud.store.all() == []
    assert cloud.resources() == {}


def test_prod_is_protected_until_teardown_opens_every_gate_and_leaves_what_is_listed(
    tmp_path: Path, pulumi: Path
) -> None:
    root = tmp_path / ".embedded"
    cloud = environment(root, pulumi, "prod")
    assert set(cloud.planned().values()) == {"create"}
    cloud.must_up()
    assert cloud.planned() == {}

    before = cloud.store.all()
    down = subprocess.run(
        [sys.executable, "-m", "stacks.down", "--stack", "prod", "--folder", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert down.returncode == 4, down.stdout
    assert "langgraph-eks:teardown to true" in " ".join(down.stderr.split())
    assert cloud.store.all() == before

    cloud = environment(root, pulumi, "prod", TEARDOWN)
    cloud.must_up()
    kept = {entry["urn"] for entry in cloud.resources().values() if entry.get("retainOnDelete")}
    destroyed = cloud.destroy()
    assert destroyed.code == 0, destroyed.text
    assert cloud.resources() == {}
    assert {row.urn for row in cloud.store.all()} == kept
