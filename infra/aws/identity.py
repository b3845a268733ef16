"""IAM for workloads: trust documents, and a role bound to one Kubernetes service account by EKS Pod Identity."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.settings import Settings


def assume_by_service(service: str, account: str | None = None) -> dict[str, Any]:
    """A trust document for an AWS service; with an account, only on behalf of that account (confused deputy)."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if account:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": account}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def assume_by_pod(namespace: str, service_account: str) -> dict[str, Any]:
    """A trust document for EKS Pod Identity, good for one service account only.

    The agent sends the namespace and the account as session tags
    (docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html).
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": {
                    "StringEquals": {
                        "aws:RequestTag/kubernetes-namespace": namespace,
                        "aws:RequestTag/kubernetes-service-account": service_account,
                    }
                },
            }
        ],
    }


class PodRole(Component):
    """What one Kubernetes service account may do on AWS.

    Produces: Role, a RolePolicy per entry of ``policies`` (name → statements), RolePolicyAttachments for managed policies, PodIdentityAssociation.
    """

    role_arn: pulumi.Output[str]
    association: aws.eks.PodIdentityAssociation

    def __init__(
        self,
        name: str,
        settings: Settings,
        cluster_name: pulumi.Input[str],
        namespace: str,
        service_account: str,
        opts: pulumi.ResourceOptions,
        policies: Mapping[str, Sequence[dict[str, Any]]] | None = None,
        managed_policies: Sequence[str] = (),
    ) -> None:
        super().__init__(name, opts)
        role = aws.iam.Role(
            name,
            path=settings.role_path,
            assume_role_policy=json.dumps(assume_by_pod(namespace, service_account)),
            permissions_boundary=settings.account.permission_boundary_arn,
            opts=self.child(),
        )
        self.role_arn = role.arn
        grants: list[pulumi.Resource] = []
        for label, statements in (policies or {}).items():
            document = pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})
            grants.append(aws.iam.RolePolicy(f"{name}-{label}", role=role.name, policy=document, opts=self.child()))
        for policy in managed_policies:
            grants.append(
                aws.iam.RolePolicyAttachment(
                    f"{name}-{policy.rsplit('/', 1)[-1]}",
                    role=role.name,
                    policy_arn=f"arn:aws:iam::aws:policy/{policy}",
                    opts=self.child(),
                )
            )
        self.association = aws.eks.PodIdentityAssociation(
            name,
            cluster_name=cluster_name,
            namespace=namespace,
            service_account=service_account,
            role_arn=role.arn,
            opts=self.child(depends_on=grants),
        )
        self.register_outputs({})
