"""The table of AWS types against the SDK, and against what the shipped environments use."""

from __future__ import annotations

import string
from typing import Any

import pytest

from stacks import provider_sdk as sdk
from stacks.embedded import ACCOUNT
from stacks.embedded.aws_types import TYPES, AwsType
from stacks.embedded.outputs import created
from stacks.graph import UNKNOWN, Resource
from tests.environments import graph_of

STACKS = ["dev", "prod"]
# What templates may name beside a type's own properties; stacks/embedded/outputs.py fills them in.
FACTS = {"id", "arn", "region", "account", "octet", "uuid", "base64", "h8", "h12", "h17", "H17", "H26", "H32"}


def has_property(type_: str, path: str) -> bool:
    """Whether a dotted path leads to an input property; the SDK's nested classes tell the inner ones."""
    first, *rest = path.replace("[]", "").split(".")
    if first not in sdk.properties(type_):
        return False
    probe: Any = "nonsense-of-a-type"
    for part in reversed(rest):
        probe = {part: probe}
    for value in (probe, [probe]):
        reasons = dict(sdk.mismatches(type_, {first: value}))
        whole = {key.replace("[0]", ""): reason for key, reason in reasons.items()}
        if rest and "not expected" in whole.get(".".join([first, *rest]), ""):
            return False
    return True


@pytest.mark.parametrize("type_", TYPES)
def test_a_row_names_only_properties_that_the_sdk_has(type_: str) -> None:
    row = TYPES[type_]
    paths = [entry.split(":", 1)[0] for entry in row.replaces.split()]
    paths += [*row.refers, *filter(None, [row.name, row.protected])]
    assert [path for path in paths if not has_property(type_, path)] == []


@pytest.mark.parametrize("type_", TYPES)
def test_a_row_refers_to_types_with_a_row_that_have_the_attribute(type_: str) -> None:
    for target in TYPES[type_].refers.values():
        other, attribute = target.removesuffix(" held").split(" ")
        assert other in TYPES
        assert attribute == "id" or attribute in TYPES[other].outputs or attribute in sdk.properties(other), target


@pytest.mark.parametrize("type_", TYPES)
def test_templates_name_only_facts_and_properties(type_: str) -> None:
    row = TYPES[type_]
    names = {field for text in _templates(row) for _, field, _, _ in string.Formatter().parse(text) if field}
    assert names - FACTS <= {*sdk.properties(type_), *row.outputs}


def _templates(row: AwsType) -> list[str]:
    def inside(value: Any) -> list[str]:
        match value:
            case str():
                return [value]
            case dict():
                return [text for item in value.values() for text in inside(item)]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] - JSON  # fmt: skip
            case list():
                return [text for item in value for text in inside(item)]  # pyright: ignore[reportUnknownVariableType] - JSON
            case _:
                return []

    return [row.id, *inside(row.outputs)]


@pytest.mark.parametrize("stack", STACKS)
def test_every_type_of_a_shipped_environment_has_a_row(stack: str) -> None:
    assert {type_ for type_ in graph_of(stack).counts() if type_.startswith("aws:")} <= set(TYPES)


@pytest.mark.parametrize("stack", STACKS)
def test_ids_and_arns_of_a_shipped_environment_are_unique_and_whole(stack: str) -> None:
    aws = [resource for resource in graph_of(stack, preview=False) if resource.type.startswith("aws:")]
    # A provider is a region, and a name may be had once in each.
    identifiers = [(resource.type, resource.id, resource.options.provider) for resource in aws]
    assert len(identifiers) == len(set(identifiers))
    for resource in aws:
        assert "{" not in resource.id, resource.urn
        for value in _computed(resource):
            assert "{" not in value, (resource.urn, value)
        arn = resource.outputs.get("arn")
        if isinstance(arn, str):
            assert arn.startswith("arn:aws:")
            assert ACCOUNT in arn or resource.type.startswith("aws:s3/")


def _computed(resource: Resource) -> list[str]:
    return [
        value
        for key, value in resource.outputs.items()
        if key not in resource.inputs and key in TYPES[resource.type].outputs and isinstance(value, str)
    ]


def test_outputs_are_the_same_for_a_urn_and_other_for_its_replacement() -> None:
    def vpc(generation: int) -> tuple[str, dict[str, Any]]:
        return created("aws:ec2/vpc:Vpc", "vpc", "urn:vpc", {"cidrBlock": "10.0.0.0/16"}, "us-east-1", generation)

    assert vpc(0) == vpc(0)
    assert vpc(0)[0] != vpc(1)[0]
    assert vpc(0)[1]["arn"] == f"arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/{vpc(0)[0]}"


def test_a_block_of_inputs_is_completed_and_not_replaced() -> None:
    _, outputs = created(
        "aws:eks/cluster:Cluster", "c", "urn:c", {"name": "c", "vpcConfig": {"subnetIds": ["subnet-1"]}}, "us-east-1"
    )
    assert outputs["vpcConfig"]["subnetIds"] == ["subnet-1"]
    assert outputs["vpcConfig"]["clusterSecurityGroupId"].startswith("sg-")


def test_a_type_without_a_row_is_refused_with_the_place_to_add_one() -> None:
    with pytest.raises(LookupError, match=r"stacks/embedded/aws_types\.py"):
        created("aws:ec2/instance:Instance", "i", "urn:i", {}, "us-east-1")


def test_an_object_whose_name_is_unknown_has_no_id_yet() -> None:
    identifier, _ = created("kubernetes:core/v1:Pod", "", "urn:p", {"metadata": {"name": UNKNOWN}}, "")
    assert identifier == ""
