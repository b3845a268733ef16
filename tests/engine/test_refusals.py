"""What the embedded cloud refuses, and in which words, through the real engine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engine.running import cloud_of, fixture_cloud

pytestmark = pytest.mark.engine
NOWHERE = json.dumps({"clusters": [{"cluster": {"server": "https://nowhere.example.com"}}]})
VPC, INSTANCE, DEPLOYMENT = "aws:ec2/vpc:Vpc", "aws:rds/instance:Instance", "kubernetes:apps/v1:Deployment"


def one(type_: str, **inputs: Any) -> dict[str, Any]:
    return {"type": type_, "name": "it", "inputs": inputs}


def manifest(**spec: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "selector": {"matchLabels": {"app": "it"}},
        "template": {
            "metadata": {"labels": {"app": "it"}},
            "spec": {"containers": [{"name": "it", "image": "example.com/it:1"}]},
        },
        **spec,
    }
    return one(DEPLOYMENT, apiVersion="apps/v1", kind="Deployment", metadata={"name": "it"}, spec=whole)


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        pytest.param(
            one(INSTANCE, instanceClas="db.t4g.medium", allocatedStorage="fifty", blueGreenUpdate={"enable": True}),
            [
                "instanceClas: an argument of this name is not expected here",
                "blueGreenUpdate.enable: an argument of this name is not expected here",
                "instanceClass: missing required property",
                "allocatedStorage: expected number, got string",
            ],
            id="properties that are unknown, also in a block, one that is missing and one of a wrong type",
        ),
        pytest.param(
            one("aws:ec2/instance:Instance"), ["Add one to stacks/embedded/aws_types.py"], id="a type without a row"
        ),
        pytest.param(
            one("random:index/randomPassword:RandomPassword", length=20),
            ["a secret's value would be in the state"],
            id="a password",
        ),
        pytest.param(
            manifest(replicas="two", replica=2, selector=None),
            ["spec.replicas: 'two' is not of type", "'replica' was unexpected", "'selector' is a required property"],
            id="fields of a manifest: of a wrong type, unknown, missing",
        ),
        pytest.param(
            one("kubernetes:core/v1:ConfigMap", apiVersion="v1", kind="ConfigMap", metadata={"labels": {}}),
            ["metadata.name: missing required property"],
            id="an object without a name",
        ),
    ],
)
def test_a_preview_refuses(tmp_path: Path, pulumi: Path, row: dict[str, Any], messages: list[str]) -> None:
    outcome = cloud_of(tmp_path, pulumi, row).preview()
    assert outcome.code != 0
    for message in messages:
        assert message in outcome.text


def test_an_up_refuses_a_reference_to_nothing_a_name_that_is_taken_and_an_object_without_a_cluster(
    tmp_path: Path, pulumi: Path
) -> None:
    database = {"type": INSTANCE, "inputs": {"identifier": "same", "instanceClass": "db.t4g.medium"}}
    rows = [
        {"type": "aws:ec2/subnet:Subnet", "name": "lost", "inputs": {"vpcId": "vpc-0", "cidrBlock": "10.0.0.0/24"}},
        {**database, "name": "first"},
        {**database, "name": "second"},
        manifest(),
    ]
    outcome = cloud_of(tmp_path, pulumi, *rows, kubeconfig=NOWHERE).command(
        "up", "--yes", "--skip-preview", "--continue-on-error"
    )
    assert outcome.code != 0
    assert "InvalidVpc.NotFound: Subnet.vpcId: the Vpc 'vpc-0' does not exist" in outcome.text
    assert "InstanceAlreadyExists: Instance same exists already" in outcome.text
    assert "cluster is unreachable: no cluster answers at https://nowhere" in outcome.text


def test_an_object_needs_its_namespace(tmp_path: Path, pulumi: Path) -> None:
    outcome = fixture_cloud(tmp_path, pulumi, namespace="another").up()
    assert outcome.code != 0
    assert 'namespaces "demo" not found' in outcome.text


def test_another_account_is_refused_before_anything_is_made(tmp_path: Path, pulumi: Path) -> None:
    cloud = cloud_of(tmp_path, pulumi, one(VPC, cidrBlock="10.0.0.0/16"), account="999999999999")
    outcome = cloud.up()
    assert outcome.code != 0
    assert "AWS account ID not allowed: 123456789012" in outcome.text
    assert cloud.store.all() == []


def test_a_protected_database_stays_until_its_protection_is_opened(tmp_path: Path, pulumi: Path) -> None:
    for inputs, refusal in (
        ({"deletionProtection": True}, "has deletionProtection on; switch it off first"),
        ({"deletionProtection": False}, "finalSnapshotIdentifier is required unless skipFinalSnapshot"),
        ({"deletionProtection": False, "skipFinalSnapshot": True}, None),
    ):
        cloud = cloud_of(tmp_path, pulumi, one(INSTANCE, instanceClass="db.t4g.medium", **inputs))
        cloud.must_up()
        destroyed = cloud.destroy()
        assert (destroyed.code == 0) is (refusal is None), destroyed.text
        assert (refusal or "") in destroyed.text
    assert cloud.store.all() == []


def test_what_somebody_else_uses_cannot_be_deleted(standing: Path, pulumi: Path) -> None:
    cloud = fixture_cloud(standing, pulumi)
    vpc = cloud.stored("vpc")
    cloud.store.insert(replace(cloud.stored("subnet-a"), id="subnet-of-another", urn="another stack's"))
    outcome = cloud.destroy()
    assert outcome.code != 0
    assert f"DependencyViolation: Vpc {vpc.id} has a dependent object: Subnet subnet-of-another" in outcome.text
    assert [row.type for row in cloud.store.all()] == ["aws:ec2/subnet:Subnet", VPC]


def test_a_security_group_with_a_chosen_name_cannot_be_replaced_under_its_database(
    standing: Path, pulumi: Path
) -> None:
    # The new one cannot have the old one's name, and the old one cannot go while the database uses it: as on AWS.
    fixture_cloud(standing, pulumi, groupName="chosen").must_up()
    outcome = fixture_cloud(standing, pulumi, groupName="chosen", description="another").up()
    assert outcome.code != 0
    assert "DependencyViolation: SecurityGroup" in outcome.text
