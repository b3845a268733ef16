"""What the LangGraph service may do on AWS, and the secrets it may read."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws.cluster import Cluster
from infra.aws.identity import PodRole
from infra.aws.keys import Keys
from infra.component import Component
from infra.kubernetes.namespace import SERVICE_ACCOUNT
from infra.settings import Settings


class ServiceIdentity(Component):
    """The service's role by Pod Identity.

    Produces: Secret for the database password of agent_app (empty: its value is written in the cluster, never here),
    PodRole that may read it.
    """

    database_secret_arn: pulumi.Output[str]
    association: aws.eks.PodIdentityAssociation

    def __init__(
        self, name: str, settings: Settings, cluster: Cluster, keys: Keys, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, opts)
        secret = aws.secretsmanager.Secret(
            f"{name}-database",
            name=f"{settings.name}/database/agent_app",
            description="Password of the PostgreSQL role agent_app",
            kms_key_id=keys.data,
            recovery_window_in_days=30 if settings.protected else 0,
            opts=self.child(),
        )
        self.database_secret_arn = secret.arn
        role = PodRole(
            name,
            settings,
            cluster.name,
            settings.service.namespace,
            SERVICE_ACCOUNT,
            policies={
                "secrets": [
                    {
                        "Effect": "Allow",
                        "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
                        "Resource": secret.arn,
                    }
                ]
            },
            opts=self.child(),
        )
        self.association = role.association
        self.register_outputs({})
