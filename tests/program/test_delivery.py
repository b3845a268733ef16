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
def test_each_role_trusts_one_exact_subject(stack: str) -> None:
    issuer = "token.actions.githubusercontent.com"
    for name, subject in (("preview", "pull_request"), ("deploy", f"environment:{stack}")):
        trust, _ = role(stack, name)
        assert trust["Principal"] == {"Federated": PROVIDER}
        assert trust["Condition"] == {
            "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": f"repo:example/agents:{subject}"}
        }


def test_a_pull_request_may_read_no_secret_value_and_write_nothing() -> None:
    _, statements = role("prod", "preview")
    denied = next(row for row in statements if row["Effect"] == "Deny")
    assert {"secretsmanager:GetSecretValue", "ssm:GetParameter"} <= set(denied["Action"])
    assert denied["Resource"] == "*"
    allowed: set[str] = set()
    for row in statements:
        if row["Effect"] == "Allow":
            allowed |= {row["Action"]} if isinstance(row["Action"], str) else set(row["Action"])
    assert allowed == {"s3:GetObject", "s3:ListBucket", "kms:Decrypt"}
    assert next(row for row in statements if row["Action"] == ["kms:Decrypt"])["Resource"] == KEY


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_deployment_may_change_and_pass_the_roles_of_its_own_environment_only(stack: str) -> None:
    _, statements = role(stack, "deploy")
    roles = f"arn:aws:iam::123456789012:role/agents-{stack}/*"
    assert [row["Resource"] for row in statements if row.get("Sid", "").startswith("OurRoles")] == [roles, roles]
    graph = graph_of(stack, CHANGES, preview=False)
    assert {row.inputs["path"] for row in graph.of_type("aws:iam/role:Role")} == {f"/agents-{stack}/"}


def test_without_a_repository_there_are_no_roles_to_take() -> None:
    assert not [row for row in graph_of("prod") if row.name.startswith("delivery")]
