"""The pipeline's roles: bound to one repository and one environment, and blind to secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.environments import graph_of

PROVIDER = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
CHANGES: dict[str, Any] = {
    "delivery": {"githubRepository": "example/agents"},
    "bootstrap": {
        "githubOidcProviderArn": PROVIDER,
        "secretsKeyArn": KEY,
        "stateBucketArn": "arn:aws:s3:::langgraph-eks-state-123456789012-us-east-1",
    },
}


def role(stack: str, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    graph = graph_of(stack, CHANGES, preview=False)
    trust = json.loads(graph.one("aws:iam/role:Role", f"delivery-{name}").inputs["assumeRolePolicy"])
    policy = json.loads(graph.one("aws:iam/rolePolicy:RolePolicy", f"delivery-{name}").inputs["policy"])
    return trust["Statement"][0], policy["Statement"]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_each_role_trusts_exact_subjects_and_only_one_may_write(stack: str) -> None:
    issuer, agents = "token.actions.githubusercontent.com", "repo:example/agents"
    read = [f"{agents}:pull_request", f"{agents}:ref:refs/heads/main"]
    for name, subject in (("preview", read), ("deploy", f"{agents}:environment:{stack}")):
        trust, _ = role(stack, name)
        assert trust["Principal"] == {"Federated": PROVIDER}
        assert trust["Condition"] == {"StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": subject}}


def test_a_pull_request_may_read_no_secret_value_and_write_nothing() -> None:
    _, statements = role("prod", "preview")
    denied = next(row for row in statements if row["Effect"] == "Deny")
    assert {"secretsmanager:GetSecretValue", "ssm:GetParameter"} <= set(denied["Action"])
    assert denied["Resource"] == "*"
    allowed: set[str] = set()
    for row in statements:
        if row["Effect"] == "Allow":
            allowed |= {row["Action"]} if isinstance(row["Action"], str) else set(row["Action"])
    assert allowed == {"s3:GetObject", "s3:ListBucket", "kms:Decrypt", "pricing:GetProducts"}
    assert next(row for row in statements if row["Action"] == ["kms:Decrypt"])["Resource"] == KEY


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_deployment_may_change_and_pass_the_roles_of_its_own_environment_only(stack: str) -> None:
    _, statements = role(stack, "deploy")
    roles = f"arn:aws:iam::123456789012:role/agents-{stack}/*"
    assert [row["Resource"] for row in statements if row.get("Sid", "").startswith("OurRoles")] == [roles, roles]
    graph = graph_of(stack, CHANGES, preview=False)
    paths = {row.name: row.inputs["path"] for row in graph.of_type("aws:iam/role:Role")}
    # Its own path is another one: it cannot give itself more.
    assert {name for name, path in paths.items() if path != f"/agents-{stack}/"} == {
        "delivery-preview",
        "delivery-deploy",
    }
    changes = {"iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:UpdateAssumeRolePolicy"}
    for row in statements:
        if row["Effect"] == "Allow" and changes & set(row["Action"]):
            assert row["Resource"] == roles


def test_a_permission_boundary_binds_every_role_and_what_the_deployment_may_grant() -> None:
    boundary = "arn:aws:iam::123456789012:policy/boundary"
    graph = graph_of("prod", {**CHANGES, "account.permissionBoundaryArn": boundary}, preview=False)
    assert {row.inputs.get("permissionsBoundary") for row in graph.of_type("aws:iam/role:Role")} == {boundary}
    policy = json.loads(graph.one("aws:iam/rolePolicy:RolePolicy", "delivery-deploy").inputs["policy"])
    grant = next(row for row in policy["Statement"] if row.get("Sid") == "GrantToOurRoles")
    assert grant["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": boundary}}


def test_dev_cannot_touch_the_secrets_buckets_or_state_of_prod() -> None:
    _, statements = role("dev", "deploy")
    denied = next(row for row in statements if row["Sid"] == "NotTheOtherEnvironmentByName")["Resource"]
    assert "arn:aws:secretsmanager:*:123456789012:secret:agents-prod/*" in denied
    assert any(".pulumi" in arn and "prod" in arn for arn in denied)
    _, reads = role("dev", "preview")
    state = next(row for row in reads if row["Action"] == ["s3:GetObject"])["Resource"]
    assert not [arn for arn in state if "prod" in arn or arn.endswith("us-east-1/*")]


def test_the_pipelines_roles_may_use_the_kubernetes_api_as_far_as_their_task_goes() -> None:
    graph = graph_of("dev", CHANGES, preview=False)
    granted = {
        row.name: row.inputs["policyArn"].rsplit("/", 1)[-1]
        for row in graph.of_type("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
    }
    assert granted["delivery-preview"] == "AmazonEKSAdminViewPolicy"
    assert granted["delivery-deploy"] == "AmazonEKSClusterAdminPolicy"


def test_without_a_repository_there_are_no_roles_to_take() -> None:
    assert not [row for row in graph_of("prod") if row.name.startswith("delivery")]
