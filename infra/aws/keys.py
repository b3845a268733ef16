"""Customer-managed KMS keys, one per blast radius, and who may use each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.settings import Settings

_USE = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]


@dataclass(frozen=True)
class Purpose:
    """A key's use, and the AWS page that says which principals it must admit."""

    name: str
    description: str
    services: tuple[str, ...] = ()  # service principals; {region} is filled in
    through: tuple[str, ...] = ()  # services that use the key for a caller of this account (kms:ViaService)
    service_roles: tuple[str, ...] = ()  # service-linked roles, by path under role/aws-service-role/
    source: str = ""


PURPOSES = (
    Purpose(
        "cluster",
        "Kubernetes secrets in etcd",
        through=("eks.{region}.amazonaws.com",),
        source="docs.aws.amazon.com/eks/latest/userguide/enable-kms.html",
    ),
    Purpose(
        "nodes",
        "Disks of the nodes and of persistent volumes",
        through=("ec2.{region}.amazonaws.com",),
        service_roles=("autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",),
        source="docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html",
    ),
    Purpose(
        "data",
        "PostgreSQL, Valkey and the secrets that open them",
        through=(
            "rds.{region}.amazonaws.com",
            "elasticache.{region}.amazonaws.com",
            "secretsmanager.{region}.amazonaws.com",
        ),
        source="docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.Encryption.Keys.html",
    ),
    Purpose(
        "logs",
        "CloudWatch log groups",
        services=("logs.{region}.amazonaws.com",),
        source="docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html",
    ),
    Purpose(
        "storage",
        "Buckets and backup vaults",
        through=("s3.{region}.amazonaws.com", "backup.{region}.amazonaws.com", "rds.{region}.amazonaws.com"),
        source="docs.aws.amazon.com/aws-backup/latest/devguide/encryption.html",
    ),
    Purpose(
        "alerts",
        "The topic that alarms, budgets and backups ring",
        services=("cloudwatch.amazonaws.com", "budgets.amazonaws.com", "backup.amazonaws.com", "events.amazonaws.com"),
        source="docs.aws.amazon.com/sns/latest/dg/sns-key-management.html",
    ),
)

# The context by which a service proves for whom it asks; CloudWatch Logs sends no aws:SourceAccount.
_LOGS = "logs.{region}.amazonaws.com"


class Keys(Component):
    """The environment's KMS keys, rotated yearly.

    Produces: Key and Alias for each of PURPOSES. Attributes hold the key ARNs.
    """

    cluster: pulumi.Output[str]
    nodes: pulumi.Output[str]
    data: pulumi.Output[str]
    logs: pulumi.Output[str]
    storage: pulumi.Output[str]
    alerts: pulumi.Output[str]

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        arns: dict[str, pulumi.Output[str]] = {}
        for purpose in PURPOSES:
            key = _key(f"{name}-{purpose.name}", settings, purpose, settings.region, self.child())
            aws.kms.Alias(
                f"{name}-{purpose.name}",
                name=f"alias/{settings.name}-{purpose.name}",
                target_key_id=key.key_id,
                opts=self.child(),
            )
            arns[purpose.name] = key.arn
        self.cluster, self.nodes = arns["cluster"], arns["nodes"]
        self.data, self.logs = arns["data"], arns["logs"]
        self.storage, self.alerts = arns["storage"], arns["alerts"]
        self.register_outputs({})


def regional_key(name: str, settings: Settings, region: str, opts: pulumi.ResourceOptions) -> aws.kms.Key:
    """The storage key of another region, for copies of backups."""
    purpose = next(row for row in PURPOSES if row.name == "storage")
    return _key(name, settings, purpose, region, opts)


def _key(name: str, settings: Settings, purpose: Purpose, region: str, opts: pulumi.ResourceOptions) -> aws.kms.Key:
    # Data encrypted with a deleted key is gone: the key outlives the stack unless teardown was asked for.
    kept = pulumi.ResourceOptions(protect=settings.protected, retain_on_delete=settings.protected)
    return aws.kms.Key(
        name,
        description=f"{settings.name}: {purpose.description}",
        enable_key_rotation=True,
        deletion_window_in_days=30 if settings.protected else 7,
        policy=json.dumps(key_policy(purpose, settings.account.id, region)),
        opts=pulumi.ResourceOptions.merge(opts, kept),
    )


def key_policy(purpose: Purpose, account: str, region: str) -> dict[str, Any]:
    """The key policy of a purpose: the account administers, named services use."""
    statements: list[dict[str, Any]] = [
        {
            "Sid": "AccountAdministers",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    ]
    for service in purpose.services:
        statements.append(
            {
                "Sid": f"Service{service.split('.', 1)[0].title()}",
                "Effect": "Allow",
                "Principal": {"Service": service.format(region=region)},
                "Action": _USE,
                "Resource": "*",
                "Condition": {
                    "ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:{region}:{account}:log-group:*"}
                }
                if service == _LOGS
                else {"StringEquals": {"aws:SourceAccount": account}},
            }
        )
    if purpose.through:
        statements.append(
            {
                "Sid": "ThroughService",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": [*_USE, "kms:CreateGrant"],
                "Resource": "*",
                "Condition": {
                    "StringEquals": {
                        "kms:CallerAccount": account,
                        "kms:ViaService": [service.format(region=region) for service in purpose.through],
                    }
                },
            }
        )
    for role in purpose.service_roles:
        principal = {"AWS": f"arn:aws:iam::{account}:role/aws-service-role/{role}"}
        statements.append(
            {"Sid": "ServiceRoleUses", "Effect": "Allow", "Principal": principal, "Action": _USE, "Resource": "*"}
        )
        statements.append(
            {
                "Sid": "ServiceRoleGrants",
                "Effect": "Allow",
                "Principal": principal,
                "Action": "kms:CreateGrant",
                "Resource": "*",
                "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}
