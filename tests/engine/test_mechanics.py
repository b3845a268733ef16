"""What the engine does with the embedded cloud: create, update, replace, refresh, import, destroy; secrets; unknowns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stacks.embedded.engine import Event, run, stack_outputs
from stacks.embedded.store import Stored
from tests.engine.running import cloud_of, fixture_cloud

pytestmark = pytest.mark.engine
IN_CLUSTER = ("namespace", "map", "secret", "deployment")


def updated(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "update")


def replaced(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "replace")


def test_a_stack_goes_up_stands_still_and_comes_down_without_a_trace(tmp_path: Path, pulumi: Path) -> None:
    cloud = fixture_cloud(tmp_path, pulumi)
    planned = cloud.must_preview()
    assert set(planned.effects().values()) == {"create"}
    assert cloud.store.all() == []
    _assert_known_is_what_is_chosen(planned.events)
    assert "warning" not in planned.text  # our plugins are not taken for strangers

    assert cloud.must_up().effects() == planned.effects()
    again = cloud.command("up", "--yes")
    assert (again.code, again.effects()) == (0, {}), again.text
    # Of the preview and of its update.
    assert len([event for event in again.events if "summaryEvent" in event]) == 2
    assert cloud.refresh().effects() == {}
    assert stack_outputs(cloud.workspace)["endpoint"].endswith(".gr7.us-east-1.eks.amazonaws.com")

    destroyed = cloud.destroy()
    assert destroyed.code == 0, destroyed.text
    assert cloud.store.all() == []
    assert cloud.resources() == {}


def _assert_known_is_what_is_chosen(events: list[Event]) -> None:
    """A first preview knows what is chosen, and not what the cloud will choose."""
    created = {
        event["resOutputsEvent"]["metadata"]["urn"].rsplit("::", 1)[-1]: event["resOutputsEvent"]["metadata"]["new"]
        for event in events
        if event.get("resOutputsEvent", {}).get("metadata", {}).get("new")
    }
    unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    assert created["vpc"]["outputs"]["cidrBlock"] == "10.0.0.0/16"
    assert created["subnet-a"]["inputs"]["vpcId"] == unknown
    assert created["cluster"]["outputs"]["endpoint"] == unknown
    assert created["cluster"]["outputs"]["name"] == "fixture"
    assert created["bucket"]["inputs"]["bucket"] == unknown


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        pytest.param(
            {"retention": 9, "replicas": 3}, updated("database", "deployment"), id="properties that can change"
        ),
        pytest.param(
            {"encrypted": False, "app": "other", "colour": "red"},
            replaced("database", "deployment", "map"),
            id="some that cannot: encryption, a selector, a ConfigMap's data",
        ),
        pytest.param(
            {"vpcCidr": "10.1.0.0/16"},
            {**replaced("vpc", "subnet-a", "subnet-b", "group"), **updated("place", "database", "cluster")},
            id="a network under a database and a cluster",
        ),
        pytest.param(
            {"offset": 8, "replicas": 3, "ignored": ["spec.replicas"]},
            {**replaced("subnet-a", "subnet-b"), **updated("place", "cluster")},
            id="subnets in use, and a change that is to be ignored",
        ),
        pytest.param(
            {"cluster": "other", "description": "changed"},
            {**replaced("cluster", "kubernetes", *IN_CLUSTER, "group"), **updated("database")},
            id="a cluster's name, and a security group in use",
        ),
        pytest.param(
            {"owner": "somebody else"},
            updated("aws", "vpc", "subnet-a", "subnet-b", "group", "place", "database", "bucket", "role", "cluster"),
            id="the provider's default tags",
        ),
    ],
)
def test_what_a_preview_plans_an_up_does_and_finishes(
    standing: Path, pulumi: Path, chosen: dict[str, Any], expected: dict[str, str]
) -> None:
    cloud = fixture_cloud(standing, pulumi, **chosen)
    assert cloud.planned() == expected
    assert cloud.must_up().effects() == expected
    names = [row.urn.rsplit("::", 1)[-1] for row in cloud.store.all()]
    assert sorted(names) == sorted(set(names))  # nothing that was replaced was left behind


def test_drift_is_found_by_a_refresh_and_mended_by_the_next_up(standing: Path, pulumi: Path) -> None:
    cloud = fixture_cloud(standing, pulumi)
    cloud.store.drift(cloud.stored("database"), "backupRetentionPeriod", 1)
    cloud.store.drift(cloud.stored("vpc"), "tags.owner", "nobody")
    cloud.store.remove(cloud.stored("bucket"))
    assert cloud.planned() == {}  # the engine believes its state until it is told to look

    refreshed = cloud.refresh()
    assert refreshed.code == 0, refreshed.text
    assert "database" in cloud.resources()
    assert "bucket" not in cloud.resources()

    mended = {**updated("database", "vpc"), "bucket": "create"}
    assert cloud.planned() == mended
    assert cloud.must_up().effects() == mended
    assert cloud.stored("database").inputs["backupRetentionPeriod"] == 7
    assert cloud.stored("vpc").outputs["tagsAll"] == {"owner": "tests"}
    assert cloud.stored("bucket").id.startswith("fixture-")
    assert cloud.planned() == {}


def test_what_exists_already_is_imported_with_its_own_id_and_outputs(tmp_path: Path, pulumi: Path) -> None:
    row = {"type": "aws:sqs/queue:Queue", "name": "queue", "inputs": {"name": "by-hand"}, "import": "by-hand-id"}
    missing = cloud_of(tmp_path, pulumi, row).up()
    assert missing.code != 0
    assert "'by-hand-id' does not exist" in missing.text

    cloud = cloud_of(tmp_path, pulumi, row)
    cloud.store.insert(
        Stored(
            "aws:sqs/queue:Queue",
            "by-hand-id",
            "made by hand",
            {"name": "by-hand", "tagsAll": {}},
            {"name": "by-hand", "tagsAll": {}, "arn": "arn:of-the-queue"},
            "us-east-1",
        )
    )
    cloud.must_up()
    assert cloud.resources()["queue"]["id"] == "by-hand-id"
    assert cloud.resources()["queue"]["outputs"]["arn"] == "arn:of-the-queue"
    assert cloud.planned() == {}


def test_secrets_are_nowhere_in_clear_but_in_the_clouds_own_memory(tmp_path: Path, pulumi: Path) -> None:
    value = "correct-horse-battery-staple"
    cloud = fixture_cloud(tmp_path, pulumi)
    assert run(cloud.workspace, ["config", "set", "--secret", "fixture:password", value]).code == 0
    said = [cloud.must_up()]
    cloud.store.drift(cloud.stored("database"), "backupRetentionPeriod", 1)
    said += [cloud.refresh(), cloud.command("up", "--yes", "--diff")]

    assert cloud.stored("database").inputs["password"] == value
    assert stack_outputs(cloud.workspace)["password"] == "[secret]"
    for outcome in said:
        assert value not in outcome.text
        assert value not in str(outcome.events)
    assert _files_that_hold(value, tmp_path) == {cloud.workspace.store}
    assert cloud.workspace.store.stat().st_mode & 0o077 == 0
    assert (cloud.workspace.directory / "passphrase").stat().st_mode & 0o077 == 0


def _files_that_hold(value: str, folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and value.encode() in path.read_bytes()}


def test_a_kubernetes_secret_that_is_not_valid_is_refused_without_showing_it(tmp_path: Path, pulumi: Path) -> None:
    row = {
        "type": "kubernetes:core/v1:Secret",
        "name": "wrong",
        "inputs": {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "wrong"},
            "stringData": {"secret": "correct-horse-battery-staple"},
        },
    }
    outcome = cloud_of(tmp_path, pulumi, row).preview()
    assert "stringData" in outcome.text
    assert "not valid by its schema" in outcome.text
    assert "correct-horse" not in outcome.text


def test_a_cluster_takes_its_objects_with_it(standing: Path, pulumi: Path) -> None:
    cloud = fixture_cloud(standing, pulumi, deletedWithCluster=True)
    cloud.must_up()
    destroyed = cloud.destroy()
    assert destroyed.code == 0, destroyed.text
    assert cloud.store.all() == []
