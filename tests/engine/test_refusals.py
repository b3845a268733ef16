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
    ("row", "message"),
    [
        pytest.param(
            one(VPC, cidrBlok="10.0.0.0/16"),
            "cidrBlok: an argument of this name is not expected here",
            id="an unknown property",
        ),
        pytest.param(
            one("aws:eks/cluster:Cluster", roleArn="arn", vpcConfig={"subnetIds": [], "subnets": []}),
            "vpcConfig.subnets: an argument of this name is not expected here",
            id="an unknown property inside a block",
        ),
        pytest.param(
            one("aws:ec2/subnet:Subnet", cidrBlock="10.0.0.0/24"),
            "vpcId: missing required property",
            id="a missing one",
        ),
        pytest.param(
            one(INSTANCE, instanceClass="db.t4g.medium", allocatedStorage="fifty"),
            "allocatedStorage: expected number, got string",
            id="a wrong type",
        ),
        pytest.param(
            one("aws:ec2/instance:Instance"), "Add one to stacks/embedded/aws_types.py", id="a type without a row"
        ),
        pytest.param(
            one("random:index/randomPassword:RandomPassword", length=20),
            "a secret's value would be in the state",
            id="a password",
        ),
        pytest.param(manifest(replicas="two"), "spec.replicas: 'two' is not of type", id="a wrong type in a manifest"),
        pytest.param(manifest(replica=2), "'replica' was unexpected", id="an unknown field in a manifest"),
        pytest.param(manifest(selector=None), "'selector' is a required property", id="a missing field in a manifest"),
        pytest.param(
            one("kubernetes:core/v1:ConfigMap", apiVersion="v1", kind="ConfigMap", metadata={"labels": {}}),
            "metadata.name: missing required property",
            id="an object without a name",
        ),
    ],
)
def test_a_preview_refuses(tmp_path: Path, pulumi: Path, row: dict[str, Any], message: str) -> None:
    outcome = cloud_of(tmp_path, pulumi, row).preview()
    assert outcome.code != 0
    assert message in outcome.text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(
            [one("aws:ec2/subnet:Subnet", vpcId="vpc-0", cidrBlock="10.0.0.0/24")],
            "InvalidVpc.NotFound: Subnet.vpcId: the Vpc 'vpc-0' does not exist",
            id="a reference to what does not exist",
        ),
        pytest.param(
            [
                {"type": INSTANCE, "name": name, "inputs": {"identifier": "same", "instanceClass": "db.t4g.medium"}}
                for name in ("first", "second")
            ],
            "InstanceAlreadyExists: Instance same exists already",
            id="a name that is taken",
        ),
        pytest.param([manifest()], "cluster is unreachable: no cluster answers at https://nowhere", id="no cluster"),
    ],
)
def test_an_up_refuses(tmp_path: Path, pulumi: Path, rows: list[dict[str, Any]], message: str) -> None:
    outcome = cloud_of(tmp_path, pulumi, *rows, kubeconfig=NOWHERE).up()
    assert outcome.code != 0
    assert message in outcome.text


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


def test_a_protected_database_stays_until_its_protection_is_opened(standing: Path, pulumi: Path) -> None:
    fixture_cloud(standing, pulumi, protected=True, skipFinalSnapshot=False).must_up()
    refused = fixture_cloud(standing, pulumi, protected=True, skipFinalSnapshot=False).destroy()
    assert refused.code != 0
    assert "has deletionProtection on; switch it off first" in refused.text

    fixture_cloud(standing, pulumi, skipFinalSnapshot=False).must_up()
    refused = fixture_cloud(standing, pulumi, skipFinalSnapshot=False).destroy()
    assert refused.code != 0
    assert "finalSnapshotIdentifier is required unless skipFinalSnapshot" in refused.text

    opened = fixture_cloud(standing, pulumi)
    opened.must_up()
    assert opened.destroy().code == 0
    assert opened.store.all() == []


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
