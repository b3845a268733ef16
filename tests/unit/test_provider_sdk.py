"""What the SDK's classes tell of properties and types, and how inputs are held against it."""

from __future__ import annotations

from typing import Any

import pytest

from stacks import provider_sdk as sdk
from stacks.graph import UNKNOWN, Secret

CLUSTER, INSTANCE = "aws:eks/cluster:Cluster", "aws:rds/instance:Instance"


def mismatches(type_: str, **inputs: Any) -> list[tuple[str, str]]:
    return list(sdk.mismatches(type_, inputs))


def test_required_properties_and_wire_names_are_the_sdks() -> None:
    properties = sdk.properties("aws:ec2/subnet:Subnet")
    assert [name for name, row in properties.items() if row.required] == ["vpcId"]
    assert "mapPublicIpOnLaunch" in properties
    assert "map_public_ip_on_launch" not in properties


def test_a_type_whose_arguments_have_another_class_name_is_found() -> None:
    # Where a nested type has the resource's name already, the SDK calls the arguments InitArgs.
    assert sdk.properties("aws:budgets/budget:Budget")["budgetType"].required


@pytest.mark.parametrize("type_", ["aws:ec2/nothing:Nothing", "aws:nowhere/it:It", "aws:ec2/vpc:VpcArgs"])
def test_a_type_that_the_sdk_lacks_is_named(type_: str) -> None:
    with pytest.raises(LookupError, match=type_):
        sdk.properties(type_)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"instanceClass": "db.t4g.medium"}, []),
        ({}, [("instanceClass", "missing required property")]),
        ({"instanceClass": None}, [("instanceClass", "missing required property")]),
        ({"instanceClass": UNKNOWN}, []),
        ({"instanceClass": Secret("db.t4g.medium")}, []),
        ({"instanceClass": "a", "allocatedStorage": "50"}, [("allocatedStorage", "expected number, got string")]),
        ({"instanceClass": "a", "allocatedStorage": True}, [("allocatedStorage", "expected number, got boolean")]),
        ({"instanceClass": "a", "multiAz": "true"}, []),
        ({"instanceClass": "a", "multiAz": "yes"}, [("multiAz", "expected boolean, got string")]),
        ({"instanceClass": 5}, [("instanceClass", "expected string, got number")]),
        ({"instanceClass": Secret(5)}, [("instanceClass", "expected string, got number")]),
        (
            {"instanceClass": "a", "vpcSecurityGroupIds": "sg-1"},
            [("vpcSecurityGroupIds", "expected list, got string")],
        ),
        (
            {"instanceClass": "a", "vpcSecurityGroupIds": ["sg-1", 2]},
            [("vpcSecurityGroupIds[1]", "expected string, got number")],
        ),
        ({"instanceClass": "a", "tags": {"a": 1}}, [("tags.a", "expected string, got number")]),
        ({"instanceClass": "a", "klass": 1}, [("klass", "an argument of this name is not expected here")]),
    ],
)
def test_inputs_are_held_against_the_sdks_types(inputs: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert mismatches(INSTANCE, **inputs) == expected


def test_blocks_are_checked_inside() -> None:
    block = {"subnetIds": ["subnet-1"], "subnets": [], "endpointPublicAccess": 1}
    assert mismatches(CLUSTER, roleArn="arn", vpcConfig=block) == [
        ("vpcConfig.subnets", "an argument of this name is not expected here"),
        ("vpcConfig.endpointPublicAccess", "expected boolean, got number"),
    ]
    assert mismatches(CLUSTER, roleArn="arn", vpcConfig={}) == [("vpcConfig.subnetIds", "missing required property")]
