"""The LangGraph service: what runs, how it is found, and how much of it may be away at once."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.aws import database
from infra.component import Component
from infra.kubernetes.labels import API_LABELS, SERVICE_LABELS, SERVICE_NAME
from infra.kubernetes.namespace import SERVICE_ACCOUNT
from infra.kubernetes.secrets import MOUNT_PATH
from infra.settings import Settings

# What the image offers; tests/unit/test_contract.py holds these against app.contract.
PORT = 8000
METRICS_PORT = 9090
LIVE_PATH = "/health"
READY_PATH = "/ready"
DRAIN_SECONDS = 75

PRE_STOP_SECONDS = 15  # the load balancer takes the pod out before it stops listening
GRACE_SECONDS = 110  # preStop + drain + margin, and under the 120 s of a Spot notice
SPREAD_LABEL = "capacity-spread"


@dataclass(frozen=True)
class Backends:
    """Where the service's dependencies are."""

    database_address: pulumi.Input[str]
    cache_url: pulumi.Input[str]  # with the user, without a password: the pod's role signs a token
    secrets_class: pulumi.Input[str]


class AgentService(Component):
    """The service as an ordinary Deployment: the HPA owns its replicas.

    Produces: Deployment, Service, PodDisruptionBudget.
    """

    deployment: kubernetes.apps.v1.Deployment

    def __init__(
        self,
        name: str,
        settings: Settings,
        image: str,
        namespace: pulumi.Input[str],
        backends: Backends,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        metadata = ObjectMetaArgs(name=SERVICE_NAME, namespace=namespace, labels=SERVICE_LABELS)
        selector = LabelSelectorArgs(match_labels=SERVICE_LABELS)
        # Else Pulumi waits for its endpoints, and their Deployment waits for it.
        no_wait = {"pulumi.com/skipAwait": "true"}
        found = core.Service(
            name,
            metadata=ObjectMetaArgs(name=SERVICE_NAME, namespace=namespace, labels=SERVICE_LABELS, annotations=no_wait),
            spec=core.ServiceSpecArgs(
                type="ClusterIP",
                selector=SERVICE_LABELS,
                # The CNI's policy agent needs service port and container port to be equal.
                ports=[core.ServicePortArgs(name="http", port=PORT, target_port=PORT, protocol="TCP")],
            ),
            opts=self.child(),
        )
        self.deployment = kubernetes.apps.v1.Deployment(
            name,
            metadata=metadata,
            spec=kubernetes.apps.v1.DeploymentSpecArgs(
                selector=selector,
                strategy=kubernetes.apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=kubernetes.apps.v1.RollingUpdateDeploymentArgs(max_surge="25%", max_unavailable=0),
                ),
                template=core.PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(labels=API_LABELS), spec=_pod(settings, image, backends)
                ),
            ),
            # An explicit count would reset a scaled Deployment on every up.
            # After the Service: a pod gets the load balancer's readiness gate by the Service that selects it then.
            opts=self.child(depends_on=[found], ignore_changes=["spec.replicas"]),
        )
        kubernetes.policy.v1.PodDisruptionBudget(
            name,
            metadata=metadata,
            spec=kubernetes.policy.v1.PodDisruptionBudgetSpecArgs(
                selector=selector,
                max_unavailable="10%",  # rounds up, so a drain can always take one
                unhealthy_pod_eviction_policy="AlwaysAllow",
            ),
            opts=self.child(),
        )
        self.register_outputs({})


def _pod(settings: Settings, image: str, backends: Backends) -> core.PodSpecArgs:
    return core.PodSpecArgs(
        service_account_name=SERVICE_ACCOUNT,
        automount_service_account_token=False,
        enable_service_links=False,
        termination_grace_period_seconds=GRACE_SECONDS,
        security_context=core.PodSecurityContextArgs(
            run_as_non_root=True,
            run_as_user=10001,
            run_as_group=10001,
            fs_group=10001,
            seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
        ),
        # ScheduleAnyway: when Spot is dry a skewed pod is better than a pending one.
        topology_spread_constraints=[
            core.TopologySpreadConstraintArgs(
                max_skew=1,
                topology_key=key,
                when_unsatisfiable="ScheduleAnyway",
                label_selector=LabelSelectorArgs(match_labels=SERVICE_LABELS),
                match_label_keys=["pod-template-hash"],
            )
            for key in ("topology.kubernetes.io/zone", SPREAD_LABEL)
        ],
        containers=[_container(settings, image, backends)],
        volumes=[
            core.VolumeArgs(name="tmp", empty_dir=core.EmptyDirVolumeSourceArgs()),
            core.VolumeArgs(
                name="secrets",
                csi=core.CSIVolumeSourceArgs(
                    driver="secrets-store.csi.k8s.io",
                    read_only=True,
                    volume_attributes={"secretProviderClass": backends.secrets_class},
                ),
            ),
        ],
    )


def _container(settings: Settings, image: str, backends: Backends) -> core.ContainerArgs:
    service = settings.service
    return core.ContainerArgs(
        name=SERVICE_NAME,
        image=image,
        ports=[
            core.ContainerPortArgs(name="http", container_port=PORT),
            core.ContainerPortArgs(name="metrics", container_port=METRICS_PORT),
        ],
        env=[
            core.EnvVarArgs(name="AGENT_HOST", value="0.0.0.0"),  # noqa: S104 - the pod's own address, behind policies
            core.EnvVarArgs(name="AGENT_METRICS_PORT", value=str(METRICS_PORT)),
            core.EnvVarArgs(name="AGENT_DATABASE_URL", value=_database_url(backends.database_address)),
            core.EnvVarArgs(name="AGENT_DATABASE_PASSWORD_FILE", value=f"{MOUNT_PATH}/database-password"),
            core.EnvVarArgs(name="AGENT_VALKEY_URL", value=backends.cache_url),
            core.EnvVarArgs(name="AGENT_VALKEY_IAM_CACHE", value=settings.name),
            core.EnvVarArgs(name="AGENT_VALKEY_IAM_REGION", value=settings.region),
            core.EnvVarArgs(name="AGENT_POOL_MAX_SIZE", value=str(settings.database.pool_size)),
        ],
        resources=core.ResourceRequirementsArgs(
            requests={"cpu": service.cpu_request, "memory": service.memory_request},
            limits={"cpu": service.cpu_limit, "memory": service.memory_limit},
        ),
        # Live asks the process only: a database outage must not restart every pod.
        startup_probe=_probe(LIVE_PATH, period=2, failures=30),
        liveness_probe=_probe(LIVE_PATH, period=10, failures=3),
        readiness_probe=_probe(READY_PATH, period=5, failures=2),
        lifecycle=core.LifecycleArgs(
            pre_stop=core.LifecycleHandlerArgs(sleep=core.SleepActionArgs(seconds=PRE_STOP_SECONDS))
        ),
        security_context=core.SecurityContextArgs(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            run_as_non_root=True,
            capabilities=core.CapabilitiesArgs(drop=["ALL"]),
        ),
        volume_mounts=[
            core.VolumeMountArgs(name="tmp", mount_path="/tmp"),  # noqa: S108 - the pod's own emptyDir
            core.VolumeMountArgs(name="secrets", mount_path=MOUNT_PATH, read_only=True),
        ],
    )


def _database_url(address: pulumi.Input[str]) -> pulumi.Output[str]:
    """A URL without a password: that is a mounted file, read for each new connection."""
    return pulumi.Output.concat(
        "postgresql://agent_app@", address, f":{database.PORT}/{database.NAME}?sslmode=verify-full"
    )


def _probe(path: str, period: int, failures: int) -> core.ProbeArgs:
    return core.ProbeArgs(
        http_get=core.HTTPGetActionArgs(path=path, port="http"),
        period_seconds=period,
        timeout_seconds=2,
        failure_threshold=failures,
    )
