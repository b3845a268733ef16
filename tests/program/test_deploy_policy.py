"""The deployment's role may use what the program uses, neither less nor more: read from the graph of both environments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from infra.aws.deploy_policy import PASSED_TO, REGIONAL
from stacks.graph import Resource
from tests.environments import graph_of
from tests.program.test_delivery import CHANGES, role

STACKS = ["dev", "prod"]
WITH_IMAGE = {**CHANGES, "bootstrap.repositoryArn": "arn:aws:ecr:us-east-1:123456789012:repository/langgraph-agents"}

# Where pulumi-aws's module is not the prefix of the IAM actions (service authorization reference).
PREFIXES = {
    "aws:cloudwatch/event": "events",
    "aws:cloudwatch/log": "logs",
    "aws:lb/": "elasticloadbalancing",
    "aws:vpc/": "ec2",
}
# Prefixes without a type of their own, and whose resource needs them.
COMPANIONS = {"backup-storage": "backup"}


def service_of(type_: str) -> str:
    """The prefix of the actions that make a resource of a type."""
    special = (prefix for start, prefix in PREFIXES.items() if type_.startswith(start))
    return next(special, type_.split(":")[1].split("/", maxsplit=1)[0])


def resources(stack: str) -> list[Resource]:
    graph = graph_of(stack, WITH_IMAGE, preview=False)
    return [row for row in graph if row.custom and row.package == "aws"]


def statements(stack: str, effect: str) -> list[dict[str, Any]]:
    graph = graph_of(stack, WITH_IMAGE, preview=False)
    policy = json.loads(graph.one("aws:iam/rolePolicy:RolePolicy", "delivery-deploy").inputs["policy"])
    return [row for row in policy["Statement"] if row["Effect"] == effect]


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def allows(stack: str, service: str) -> Iterator[dict[str, Any]]:
    for row in statements(stack, "Allow"):
        if any(action.split(":")[0] == service for action in listed(row["Action"])):
            yield row


def test_the_services_allowed_are_those_of_the_program_and_no_other() -> None:
    used = {service_of(row.type) for stack in STACKS for row in resources(stack)}
    used |= {prefix for prefix, owner in COMPANIONS.items() if owner in used}
    allowed = {action.split(":")[0] for row in statements("prod", "Allow") for action in listed(row["Action"])}
    assert allowed == used, "infra/aws/deploy_policy.py lists another set than the program uses"
    assert set(REGIONAL) <= used


@pytest.mark.parametrize("stack", STACKS)
def test_every_thing_of_the_environment_is_within_what_the_deployment_may_reach(stack: str) -> None:
    checked = 0
    for row in resources(stack):
        arn = row.outputs.get("arn")
        # The pipeline's own roles are out of its reach on purpose: it cannot give itself more.
        if not isinstance(arn, str) or row.name.startswith("delivery-"):
            continue
        region = arn.split(":")[3]
        for allow in allows(stack, service_of(row.type)):
            regions = allow.get("Condition", {}).get("StringEquals", {}).get("aws:RequestedRegion", [region])
            if any(fnmatchcase(arn, pattern) for pattern in listed(allow["Resource"])) and region in regions:
                break
        else:
            pytest.fail(f"{row.name}: no statement reaches {arn}")
        checked += 1
    assert checked > 60


@pytest.mark.parametrize("stack", STACKS)
def test_the_role_has_no_policy_of_aws_and_no_way_to_a_secret_value(stack: str) -> None:
    graph = graph_of(stack, WITH_IMAGE, preview=False)
    attached = [row.name for row in graph.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")]
    assert not [name for name in attached if name.startswith("delivery-deploy")]
    actions = [action for row in statements(stack, "Allow") for action in listed(row["Action"])]
    for value in ("secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "ssm:GetParameter"):
        assert not [action for action in actions if fnmatchcase(value, action)]
    assert "*" not in actions


@pytest.mark.parametrize(("stack", "other"), [("dev", "prod"), ("prod", "dev")])
def test_what_the_other_environment_owns_is_denied_by_its_tag_and_by_its_name(stack: str, other: str) -> None:
    by_tag = next(row for row in statements(stack, "Deny") if row["Action"] == "*")
    assert by_tag["Condition"] == {"StringEquals": {"aws:ResourceTag/environment": other}}
    providers = [row for row in graph_of(other, preview=False) if row.type == "pulumi:providers:aws"]
    tags = [json.loads(row.inputs["defaultTags"])["tags"]["environment"] for row in providers]
    assert set(tags) == {other}
    by_name = [pattern for row in statements(stack, "Deny") for pattern in listed(row["Resource"])]
    for row in resources(other):
        if row.type in ("aws:s3/bucket:Bucket", "aws:secretsmanager/secret:Secret"):
            assert any(fnmatchcase(row.outputs["arn"], pattern) for pattern in by_name if pattern != "*"), row.name


def test_the_key_of_the_state_may_be_used_and_not_harmed() -> None:
    [denied] = [row for row in statements("dev", "Deny") if "kms:ScheduleKeyDeletion" in row["Action"]]
    assert denied["Resource"] == CHANGES["bootstrap"]["secretsKeyArn"]
    for harmless in ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"):
        assert not any(fnmatchcase(harmless, action) for action in denied["Action"])


def test_roles_are_passed_to_the_services_that_the_programs_roles_trust() -> None:
    trusted: set[str] = set()
    for stack in STACKS:
        for row in resources(stack):
            if row.type == "aws:iam/role:Role" and not row.name.startswith("delivery-"):
                trusted |= set(re.findall(r"[a-z0-9.-]+\.amazonaws\.com", row.inputs["assumeRolePolicy"]))
    # AWS Backup checks its restore tests' role under that name.
    assert set(PASSED_TO) - {"restore-testing.backup.amazonaws.com"} == trusted


def test_the_policy_fits_into_iams_limit_with_everything_configured() -> None:
    boundary = "arn:aws:iam::123456789012:policy/a-rather-long-name-of-a-boundary"
    changes = {**WITH_IMAGE, "account.permissionBoundaryArn": boundary}
    policy = graph_of("prod", changes, preview=False).one("aws:iam/rolePolicy:RolePolicy", "delivery-deploy")
    assert len(json.dumps(json.loads(policy.inputs["policy"]), separators=(",", ":"))) <= 10_240


def test_the_images_are_pushed_to_our_repository_only() -> None:
    image = next(row for row in statements("dev", "Allow") if "ecr:PutImage" in row["Action"])
    assert image["Resource"] == WITH_IMAGE["bootstrap.repositoryArn"]
    _, without = role("dev", "deploy")
    assert not [row for row in without if "ecr:PutImage" in listed(row["Action"])]
