"""The service's nights: a Job scales its Deployments to nothing, another one back, and Karpenter takes the empty nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_kubernetes.batch import v1 as batch
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, Role, RoleBinding, RoleRefArgs, SubjectArgs

from infra.aws.registry import pulled_through
from infra.component import Component
from infra.kubernetes import pods
from infra.kubernetes.charts import PLACED
from infra.kubernetes.labels import API, NAME, OFF_HOURS_LABELS, SERVICE_NAME, WORKERS
from infra.off_hours import coming, going
from infra.settings import Settings
from infra.settings.platform import OffHours
from infra.versions import KUBECTL_IMAGE

ACCOUNT = OFF_HOURS_LABELS[NAME]
# Where kubectl looks for them by itself. Pods here have no token unasked, and this one ends within the hour.
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
LATEST_SECONDS = 3600  # a morning's pod waits for its node; what is later than this waits for the next day
_RESOURCES = core.ResourceRequirementsArgs(
    requests={"cpu": "20m", "memory": "32Mi"}, limits={"cpu": "200m", "memory": "128Mi"}
)
# Without pods there are no metrics, and an HPA says that it does not act.
QUIET = ("AgentMetricsAbsent", "HpaNotActing")


class ServiceHours(Component):
    """What turns the service off and on. An HPA rests while its target has no replicas, and goes on when it has
    (kubernetes.io, Horizontal Pod Autoscaling, implicit maintenance-mode deactivation).

    Poolers stay until their nodes go: workers hand their runs over through them.

    Produces: ServiceAccount, Role, RoleBinding, CronJob service-off, CronJob service-on.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        hours: OffHours,
        namespace: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        service = settings.service
        mornings = {
            f"{SERVICE_NAME}-{API}": service.api.min_replicas,
            f"{SERVICE_NAME}-{WORKERS}": service.workers.min_replicas,
        }
        metadata = ObjectMetaArgs(name=ACCOUNT, namespace=namespace)
        account = core.ServiceAccount(name, metadata=metadata, automount_service_account_token=False, opts=self.child())
        role = Role(
            name,
            metadata=metadata,
            rules=[
                PolicyRuleArgs(api_groups=["apps"], resources=[kind], resource_names=list(mornings), verbs=verbs)
                for kind, verbs in (("deployments", ["get"]), ("deployments/scale", ["get", "patch"]))
            ],
            opts=self.child(),
        )
        binding = RoleBinding(
            name,
            metadata=metadata,
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=ACCOUNT),
            subjects=[SubjectArgs(kind="ServiceAccount", name=ACCOUNT, namespace=namespace)],
            opts=self.child(depends_on=[role, account]),
        )
        for word, moment, replicas in (
            ("off", going(hours), dict.fromkeys(mornings, 0)),
            ("on", coming(hours), mornings),
        ):
            batch.CronJob(
                f"service-{word}",
                metadata=ObjectMetaArgs(name=f"service-{word}", namespace=namespace, labels=OFF_HOURS_LABELS),
                spec=batch.CronJobSpecArgs(
                    schedule=f"{moment.minute} {moment.hour} * * {moment.days}",
                    time_zone=hours.time_zone,
                    concurrency_policy="Forbid",
                    starting_deadline_seconds=LATEST_SECONDS,
                    successful_jobs_history_limit=1,
                    failed_jobs_history_limit=1,
                    job_template=_job(settings, replicas),
                ),
                opts=self.child(depends_on=[binding]),
            )
        self.register_outputs({})


def quiet(groups: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """Rule groups whose alerts do not ring because the service is off, or was within a quarter of an hour."""
    replicas = (
        f'kube_deployment_spec_replicas{{namespace="{namespace}",deployment=~"{SERVICE_NAME}-({API}|{WORKERS})"}}'
    )
    off = f"max(min_over_time({replicas}[15m])) == 0"

    def rule(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "expr": f"({row['expr']}) unless on () ({off})"} if row.get("alert") in QUIET else row

    return [{**group, "rules": [rule(row) for row in group["rules"]]} for group in groups]


def _job(settings: Settings, replicas: Mapping[str, int]) -> batch.JobTemplateSpecArgs:
    token = core.ProjectedVolumeSourceArgs(
        sources=[
            core.VolumeProjectionArgs(
                service_account_token=core.ServiceAccountTokenProjectionArgs(
                    path="token", expiration_seconds=LATEST_SECONDS
                )
            ),
            core.VolumeProjectionArgs(
                config_map=core.ConfigMapProjectionArgs(
                    name="kube-root-ca.crt", items=[core.KeyToPathArgs(key="ca.crt", path="ca.crt")]
                )
            ),
        ]
    )
    volumes = {"token": pods.Volume(TOKEN_PATH, {"projected": token})}
    # The image has no shell, and kubectl one number for all: a container for each.
    scaling = [
        pods.container(
            deployment,
            pulled_through(settings, KUBECTL_IMAGE),
            {"HOME": "/tmp"},  # noqa: S108 - the pod's own emptyDir, for kubectl's cache
            volumes,
            args=[
                "scale",
                f"--namespace={settings.service.namespace}",
                f"--replicas={count}",
                f"deployment/{deployment}",
            ],
            resources=_RESOURCES,
            termination_message_policy="FallbackToLogsOnError",
        )
        for deployment, count in replicas.items()
    ]
    return batch.JobTemplateSpecArgs(
        spec=batch.JobSpecArgs(
            backoff_limit=4,
            active_deadline_seconds=LATEST_SECONDS,
            template=core.PodTemplateSpecArgs(
                metadata=ObjectMetaArgs(labels=OFF_HOURS_LABELS),
                spec=pods.pod(
                    ACCOUNT,
                    scaling,
                    volumes,
                    restart_policy="Never",
                    node_selector=PLACED["nodeSelector"],
                    tolerations=[pods.ON_SYSTEM_NODES],
                ),
            ),
        )
    )
