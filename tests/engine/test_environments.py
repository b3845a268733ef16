"""The shipped environments through the real engine on the embedded cloud, from nothing to nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stacks.configuration import ROOT
from tests.engine.standing import Standing, environment

pytestmark = [pytest.mark.engine, pytest.mark.timeout(580)]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_an_environment_becomes_what_was_planned_and_a_second_preview_and_a_refresh_change_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, pulumi: Path, stack: str
) -> None:
    standing: Standing = request.getfixturevalue(stack)
    planned = standing.planned.by_urn()
    assert set(planned.values()) == {"create"}
    assert standing.made.by_urn() == planned
    assert standing.again.effects() == {}
    refreshed = standing.copy(tmp_path / stack, pulumi).refresh()
    assert (refreshed.code, refreshed.effects()) == (0, {}), refreshed.text


def test_settings_of_dev_change_exactly_what_they_say(dev: Standing, tmp_path: Path, pulumi: Path) -> None:
    changes = {"database.backupRetentionDays": 5, "service.workers.maxReplicas": 7}
    assert dev.copy(tmp_path / "dev", pulumi, changes).must_preview().kinds() == {
        ("Instance", "update"): 1,
        ("HorizontalPodAutoscaler", "update"): 1,
        ("ResourceQuota", "update"): 1,
    }


def test_a_replacement_in_the_middle_of_dev_finishes_and_dev_comes_down_without_a_trace(
    dev: Standing, tmp_path: Path, pulumi: Path
) -> None:
    changes = {
        "network.zones.0.data": "10.20.12.0/24",
        "network.zones.0.private": "10.20.128.0/19",
        "nodes.system.instanceTypes": ["m6i.large"],
    }
    cloud = dev.copy(tmp_path / "dev", pulumi, changes)
    planned, done = cloud.must_preview(), cloud.must_up()
    for outcome in (planned, done):
        # Not the cluster, which stands in subnets of its own, nor what hangs on its security group.
        assert {kind for kind, effect in outcome.kinds() if effect == "replace"} == {
            "Subnet",
            "RouteTableAssociation",
            "NodeGroup",
        }
    # A block with an unknown in it is unknown as a whole to what reads it, so a preview may plan more than is done.
    assert done.by_urn().items() <= planned.by_urn().items()
    assert cloud.planned() == {}
    destroyed = cloud.destroy()
    assert destroyed.code == 0, destroyed.text
    assert cloud.store.all() == []
    assert cloud.resources() == {}


def test_prod_is_protected_until_teardown_opens_every_gate_and_leaves_what_is_listed(
    prod: Standing, tmp_path: Path, pulumi: Path
) -> None:
    root = tmp_path / ".embedded"
    cloud = prod.copy(root, pulumi)
    before = cloud.store.all()
    down = subprocess.run(
        [sys.executable, "-m", "stacks.down", "--stack", "prod", "--folder", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert down.returncode == 4, down.stdout
    assert "langgraph-eks:teardown to true" in " ".join(down.stderr.split())
    assert cloud.store.all() == before

    cloud = environment(root, pulumi, "prod", {"teardown": True})
    cloud.must_up()
    kept = {entry["urn"] for entry in cloud.resources().values() if entry.get("retainOnDelete")}
    destroyed = cloud.destroy()
    assert destroyed.code == 0, destroyed.text
    assert cloud.resources() == {}
    assert {row.urn for row in cloud.store.all()} == kept
