"""What AWS offers of the pinned versions, by botocore's stub: each answer is checked against the API's model."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.versions import NODE_IMAGE, POSTGRESQL, VALKEY
from stacks import version_offers
from stacks.findings import Finding
from tests.environments import settings_of

KEYS: dict[str, Any] = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
SETTINGS = settings_of("dev")
ZONES = [{"Name": zone.name} for zone in SETTINGS.network.zones]


@pytest.mark.parametrize(
    ("offered", "status"),
    [(["STANDARD_SUPPORT"], "pass"), (["EXTENDED_SUPPORT"], "warn"), (["UNSUPPORTED"], "fail"), ([], "fail")],
)
def test_kubernetes_is_offered_in_standard_support_or_costs_more_or_is_not(offered: list[str], status: str) -> None:
    eks = boto3.client("eks", **KEYS)
    with Stubber(eks) as stub:
        rows = [{"clusterVersion": "1.36", "versionStatus": support} for support in offered]
        stub.add_response("describe_cluster_versions", {"clusterVersions": rows}, {"clusterVersions": ["1.36"]})
        assert version_offers.kubernetes(eks, SETTINGS).status == status


@pytest.mark.parametrize(("images", "status"), [([{"ImageId": "ami-1"}], "pass"), ([], "fail")])
def test_the_image_of_the_nodes_is_asked_for_by_its_full_name(images: list[Any], status: str) -> None:
    ec2 = boto3.client("ec2", **KEYS)
    name = f"amazon-eks-node-al2023-x86_64-standard-1.36-{NODE_IMAGE.version}"
    with Stubber(ec2) as stub:
        asked = {"Owners": ["amazon"], "Filters": [{"Name": "name", "Values": [name]}]}
        stub.add_response("describe_images", {"Images": images}, asked)
        assert version_offers.node_image(ec2, SETTINGS).status == status


def of_postgresql(versions: list[str], zones: list[dict[str, str]]) -> Finding:
    rds = boto3.client("rds", **KEYS)
    with Stubber(rds) as stub:
        rows = [{"EngineVersion": version} for version in versions]
        stub.add_response("describe_db_engine_versions", {"DBEngineVersions": rows}, {"Engine": "postgres"})
        asked = {"Engine": "postgres", "EngineVersion": versions[-1], "DBInstanceClass": "db.t4g.medium"}
        options = {"OrderableDBInstanceOptions": [{"AvailabilityZones": zones}]}
        stub.add_response("describe_orderable_db_instance_options", options, asked)
        return version_offers.postgresql(rds, SETTINGS)


def test_postgresql_is_offered_on_the_class_in_every_zone() -> None:
    newest = f"{POSTGRESQL}.3"
    assert of_postgresql([f"1{POSTGRESQL}.9", f"{POSTGRESQL}.1", newest], ZONES).status == "pass"
    lacking = of_postgresql([newest], ZONES[:1])
    assert lacking.status == "fail"
    assert f"none with {newest} in {ZONES[1]['Name']}" in lacking.detail
    assert "RDS does not offer it" in of_postgresql(["17.9", f"1{POSTGRESQL}.1"], ZONES).detail


@pytest.mark.parametrize(
    ("versions", "status"), [(["7.2", VALKEY], "pass"), ([f"{VALKEY}.1"], "pass"), (["7.2", "8.20"], "fail")]
)
def test_valkey_is_offered(versions: list[str], status: str) -> None:
    elasticache = boto3.client("elasticache", **KEYS)
    with Stubber(elasticache) as stub:
        rows = [{"EngineVersion": version} for version in versions]
        stub.add_response("describe_cache_engine_versions", {"CacheEngineVersions": rows}, {"Engine": "valkey"})
        assert version_offers.valkey(elasticache).status == status
