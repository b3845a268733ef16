"""The roles that GitHub Actions takes by OIDC: one that may look, one that may deploy."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.cluster import grant_access
from infra.aws.deploy_policy import deploy_statements
from infra.component import Component
from infra.settings import PROJECT, Settings

ISSUER = "token.actions.githubusercontent.com"


class DeliveryRoles(Component):
    """Roles of the pipeline, bound to one repository and one environment of it.

    Produces: Role preview (pull requests; reads configuration, never a secret's value) and Role deploy (jobs of the
    GitHub environment named like ours), each with its RolePolicy, RolePolicyAttachments, AccessEntry and
    AccessPolicyAssociation. They are on a path of their own, which the deploy role's rights over roles do not cover:
    it cannot change itself.
    """

    preview_arn: pulumi.Output[str]
    deploy_arn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: Settings,
        repository: str,
        provider_arn: str,
        cluster_name: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        self._cluster_name = cluster_name
        # A repository-wide subject would let any branch's workflow in (marin-community/marin#7532).
        self.preview_arn = self._role(
            f"{name}-preview",
            settings,
            # main too: the nightly look for drift, and the plan that prod's approvers read.
            trust(provider_arn, f"repo:{repository}:pull_request", f"repo:{repository}:ref:refs/heads/main"),
            ["SecurityAudit", "job-function/ViewOnlyAccess"],
            preview_statements(settings),
            "AmazonEKSAdminViewPolicy",
        )
        self.deploy_arn = self._role(
            f"{name}-deploy",
            settings,
            trust(provider_arn, f"repo:{repository}:environment:{settings.environment}"),
            [],
            [*deploy_statements(settings), *_state(settings, write=True)],
            "AmazonEKSClusterAdminPolicy",
        )
        self.register_outputs({})

    def _role(
        self,
        name: str,
        settings: Settings,
        trusted: dict[str, Any],
        managed: list[str],
        statements: list[dict[str, Any]],
        cluster_policy: str,
    ) -> pulumi.Output[str]:
        role = aws.iam.Role(
            name,
            path=f"/delivery-{settings.environment}/",
            assume_role_policy=json.dumps(trusted),
            max_session_duration=3600,
            permissions_boundary=settings.account.permission_boundary_arn,
            opts=self.child(),
        )
        for policy in managed:
            aws.iam.RolePolicyAttachment(
                f"{name}-{policy.rsplit('/', 1)[-1]}",
                role=role.name,
                policy_arn=f"arn:aws:iam::aws:policy/{policy}",
                opts=self.child(),
            )
        document = {"Version": "2012-10-17", "Statement": statements}
        aws.iam.RolePolicy(name, role=role.name, policy=json.dumps(document), opts=self.child())
        grant_access(name, self._cluster_name, role.arn, cluster_policy, self.child())
        return role.arn


def trust(provider_arn: str, *subjects: str) -> dict[str, Any]:
    """A trust document for subjects of GitHub's OIDC provider, by equality: no wildcard to widen by accident."""
    subject = subjects[0] if len(subjects) == 1 else list(subjects)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": provider_arn},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": subject}},
            }
        ],
    }


def _state(settings: Settings, *, write: bool) -> list[dict[str, Any]]:
    """Access to Pulumi's state, which holds no secret value, and to the key that opens it."""
    bootstrap = settings.bootstrap
    statements: list[dict[str, Any]] = []
    if bootstrap.state_bucket_arn:
        objects = ["s3:GetObject", *(["s3:PutObject", "s3:DeleteObject"] if write else [])]
        root = f"{bootstrap.state_bucket_arn}/.pulumi"
        # Where the S3 backend keeps a stack (pulumi/pulumi pkg/backend/diy): state, history, backups, locks.
        own = [
            f"{root}/meta.yaml",
            *(f"{root}/{kind}/{PROJECT}/{settings.environment}*" for kind in ("stacks", "history", "backups")),
            f"{root}/locks/organization/{PROJECT}/{settings.environment}/*",
        ]
        statements += [
            {"Effect": "Allow", "Action": objects, "Resource": own},
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bootstrap.state_bucket_arn},
        ]
    if bootstrap.secrets_key_arn:
        use = ["kms:Decrypt", *(["kms:Encrypt", "kms:GenerateDataKey"] if write else [])]
        statements.append({"Effect": "Allow", "Action": use, "Resource": bootstrap.secrets_key_arn})
    return statements


def preview_statements(settings: Settings) -> list[dict[str, Any]]:
    """What a pull request may do beyond AWS's view-only policies, and what it may never."""
    never = {
        "Sid": "NoSecretValues",
        "Effect": "Deny",
        "Action": [
            "secretsmanager:GetSecretValue",
            "secretsmanager:BatchGetSecretValue",
            "ssm:GetParameter",
            "ssm:GetParameters",
            "ssm:GetParametersByPath",
            "lambda:GetFunction",
        ],
        "Resource": "*",
    }
    # Neither of AWS's policies has it; it takes no narrower resource (Service Authorization Reference, Price List).
    prices = {"Effect": "Allow", "Action": "pricing:GetProducts", "Resource": "*"}
    # That they have this one was not read; a look for drift asks for it.
    arn = f"arn:aws:scheduler:{settings.region}:{settings.account.id}:schedule/default/{settings.name}-*"
    schedules = {"Effect": "Allow", "Action": "scheduler:GetSchedule", "Resource": arn}
    return [never, prices, *([schedules] if settings.off_hours else []), *_state(settings, write=False)]
