"""The Jobs before a rollout: roles in the database, then its schema. Both go straight to RDS, and may run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.batch import v1 as batch
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from app import contract
from infra.aws.secrets import DATABASE_ROLES, POOLER_USERS
from infra.component import Component
from infra.kubernetes import pods
from infra.kubernetes.labels import DATABASE_INIT_LABELS, MIGRATE_LABELS
from infra.kubernetes.namespace import DATABASE_INIT, MIGRATE
from infra.kubernetes.service_environment import SECRETS_PATH
from infra.settings import Settings

SECONDS = 900  # a migration that takes longer is to be run by hand, beside the old version
_RESOURCES = core.ResourceRequirementsArgs(
    requests={"cpu": "100m", "memory": "256Mi"}, limits={"cpu": "1", "memory": "512Mi"}
)


@dataclass(frozen=True)
class Stores:
    """Where the Jobs work: the database, the secret of its owner, the secrets of its roles by entry, migrate's files."""

    address: pulumi.Input[str]
    owner_arn: pulumi.Input[str]
    arns: Mapping[str, pulumi.Input[str]]
    migrate_class: str


class DatabaseJobs(Component):
    """What must have ended well before a new image serves. Named by the image: a new one is a new Job.

    Produces: Job database-init, Job migrate.
    """

    database_init: batch.Job
    migrate: batch.Job

    def __init__(
        self,
        name: str,
        settings: Settings,
        image: str,
        namespace: pulumi.Input[str],
        stores: Stores,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        self._name, self._image, self._namespace = name, image, namespace
        arguments: list[pulumi.Input[str]] = [DATABASE_INIT, "--master", stores.owner_arn]
        for role in DATABASE_ROLES:
            arguments += ["--role", pulumi.Output.concat(f"{role}=", stores.arns[f"database/{role}"])]
        if settings.database.pooler:
            arguments += ["--pooler", stores.arns[POOLER_USERS]]
        self.database_init = self._job(
            DATABASE_INIT,
            DATABASE_INIT_LABELS,
            arguments,
            {"AWS_REGION": settings.region, contract.ENV_DATABASE_URL: pods.database_url(None, stores.address)},
            {},
        )
        self.migrate = self._job(
            MIGRATE,
            MIGRATE_LABELS,
            [MIGRATE],
            {
                contract.ENV_DATABASE_URL: pods.database_url("agent_migrate", stores.address),
                contract.ENV_DATABASE_PASSWORD_FILE: f"{SECRETS_PATH}/database-password",
            },
            # Its secret has a value when database-init has ended.
            {"secrets": pods.Volume(SECRETS_PATH, pods.secrets_of(stores.migrate_class))},
            self.database_init,
        )
        self.register_outputs({})

    def _job(
        self,
        name: str,
        labels: Mapping[str, str],
        arguments: list[pulumi.Input[str]],
        env: Mapping[str, pulumi.Input[str]],
        volumes: Mapping[str, pods.Volume],
        *needs: pulumi.Resource,
    ) -> batch.Job:
        more: dict[str, Any] = {"restart_policy": "Never", "tolerations": [pods.ON_SYSTEM_NODES]}
        container = pods.container(
            name,
            self._image,
            env,
            volumes,
            args=arguments,
            resources=_RESOURCES,
            # The last lines of its log become the pod's last words, which Pulumi shows.
            termination_message_policy="FallbackToLogsOnError",
        )
        return batch.Job(
            f"{self._name}-{name}",
            metadata=ObjectMetaArgs(
                name=f"{name}-{self._image.rpartition(':')[2][:12]}",
                namespace=self._namespace,
                labels=labels,
                # One that failed is made anew by the next up, with the same image too.
                annotations={"pulumi.com/replaceUnready": "true"},
            ),
            spec=batch.JobSpecArgs(
                backoff_limit=2,
                active_deadline_seconds=SECONDS,
                # A node that is taken is no failure of the Job.
                pod_failure_policy=batch.PodFailurePolicyArgs(
                    rules=[
                        batch.PodFailurePolicyRuleArgs(
                            action="Ignore",
                            on_pod_conditions=[
                                batch.PodFailurePolicyOnPodConditionsPatternArgs(type="DisruptionTarget", status="True")
                            ],
                        )
                    ]
                ),
                template=core.PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(labels=labels), spec=pods.pod(name, [container], volumes, **more)
                ),
            ),
            opts=self.child(depends_on=needs, custom_timeouts=pulumi.CustomTimeouts(create="20m", update="20m")),
        )
