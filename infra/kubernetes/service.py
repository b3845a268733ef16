"""The LangGraph service: the API that accepts runs and the workers that execute them, from one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from app import contract
from infra.component import Component
from infra.kubernetes import canary, pods
from infra.kubernetes.labels import API, API_LABELS, LABELS_OF, ROLLOUT_HASH, SERVICE_NAME, WORKERS
from infra.kubernetes.namespace import SERVICE_ACCOUNT
from infra.kubernetes.service_environment import SECRETS_PATH, variables
from infra.kubernetes.shutdown import PRE_STOP_SECONDS, grace_seconds
from infra.service_rules import ROLLOUT_SURGE
from infra.settings import Settings
from infra.settings.service import Workload

# A pod of the API takes the place of a worker when there is no room: accepted runs wait, refused requests are lost.
PRIORITIES = {API: 1000, WORKERS: 500}
ROLLOUT = pulumi.CustomTimeouts(create="30m", update="30m")  # draining pods and launching nodes, wave by wave
SURGE = f"{ROLLOUT_SURGE:.0%}"


@dataclass(frozen=True)
class Backends:
    """What the service's processes are connected to. No URL holds a password."""

    database_url: pulumi.Input[str]  # the pooler's where there is one
    direct_url: pulumi.Input[str] | None  # then PostgreSQL's own: LISTEN needs a session
    valkey_url: pulumi.Input[str]  # the pod's role signs its token
    secrets_class: pulumi.Input[str]


class Priorities(Component):
    """Who goes first when nodes are full.

    Produces: PriorityClass agent-api, PriorityClass agent-workers.
    """

    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        self.classes = [
            kubernetes.scheduling.v1.PriorityClass(
                f"{name}-{workload}",
                metadata=ObjectMetaArgs(name=f"{SERVICE_NAME}-{workload}"),
                value=value,
                description=f"The {workload} of the LangGraph service",
                opts=self.child(),
            )
            for workload, value in PRIORITIES.items()
        ]
        self.register_outputs({})


class Api(Component):
    """The processes that accept runs and answer; the HPA owns their number.

    Produces: Service, Deployment (with a canary Rollout and AnalysisTemplate), PodDisruptionBudget.
    """

    target: Mapping[str, str]  # what an autoscaler scales: apiVersion, kind, name

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
        found = core.Service(
            name,
            metadata=ObjectMetaArgs(
                name=SERVICE_NAME,
                namespace=namespace,
                labels=API_LABELS,
                # Else Pulumi waits for its endpoints, and their Deployment waits for it.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=core.ServiceSpecArgs(
                type="ClusterIP",
                selector=API_LABELS,
                # The CNI's policy agent needs service port and container port to be equal.
                ports=[
                    core.ServicePortArgs(name="http", port=contract.PORT, target_port=contract.PORT, protocol="TCP")
                ],
            ),
            opts=self.child(),
        )
        # After the Service: a pod gets the load balancer's readiness gate by the Service that selects it then.
        if settings.canary:
            pod = template(settings, image, API, backends, ROLLOUT_HASH)
            canary.rollout(self, name, _metadata(namespace, API), pod, SURGE, [found])
            self.target = _target(canary.GROUP, "Rollout", API)
        else:
            _deployment(self, name, namespace, API, template(settings, image, API, backends), [found])
            self.target = _target("apps/v1", "Deployment", API)
        _budget(self, name, namespace, API, "10%")
        self.register_outputs({})


class Workers(Component):
    """The processes that execute runs; the HPA owns their number.

    Produces: Deployment, PodDisruptionBudget.
    """

    target: Mapping[str, str]  # what an autoscaler scales: apiVersion, kind, name

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
        _deployment(self, name, namespace, WORKERS, template(settings, image, WORKERS, backends))
        self.target = _target("apps/v1", "Deployment", WORKERS)
        # Many at once: a run goes on elsewhere from its last step, and Spot takes whole nodes.
        _budget(self, name, namespace, WORKERS, "25%")
        self.register_outputs({})


def template(
    settings: Settings,
    image: str,
    workload: Literal["api", "workers"],
    backends: Backends,
    template_hash: str = "pod-template-hash",
) -> core.PodTemplateSpecArgs:
    """The pods of one workload. ``template_hash`` is the label by which its controller tells versions apart."""
    share = settings.service.api if workload == API else settings.service.workers
    urls = (backends.database_url, backends.direct_url, backends.valkey_url)
    volumes = {"secrets": pods.Volume(SECRETS_PATH, pods.secrets_of(backends.secrets_class))}
    serving = pods.container(
        SERVICE_NAME,
        image,
        variables(settings, workload, *urls),
        volumes,
        args=["api" if workload == API else "worker"],
        ports=[
            core.ContainerPortArgs(name="http", container_port=contract.PORT),
            core.ContainerPortArgs(name="metrics", container_port=contract.METRICS_PORT),
        ],
        resources=_resources(share),
        # Started: imports take seconds. Live asks the process only: a database outage must not restart every pod.
        startup_probe=pods.probe(contract.LIVE_PATH, "http", period=2, failures=30),
        liveness_probe=pods.probe(contract.LIVE_PATH, "http", period=10, failures=3),
        readiness_probe=pods.probe(contract.READY_PATH, "http", period=5, failures=2),
        lifecycle=_pre_stop() if workload == API else None,  # nobody sends requests to a worker: it drains at once
    )
    return core.PodTemplateSpecArgs(
        metadata=ObjectMetaArgs(labels=LABELS_OF[workload]),
        spec=pods.pod(
            SERVICE_ACCOUNT,
            [serving],
            volumes,
            priority_class_name=f"{SERVICE_NAME}-{workload}",
            termination_grace_period_seconds=grace_seconds(settings),
            topology_spread_constraints=pods.spread(LABELS_OF[workload], template_hash),
        ),
    )


def _target(version: str, kind: str, workload: Literal["api", "workers"]) -> dict[str, str]:
    return {"apiVersion": version, "kind": kind, "name": f"{SERVICE_NAME}-{workload}"}


def _metadata(namespace: pulumi.Input[str], workload: Literal["api", "workers"]) -> ObjectMetaArgs:
    return ObjectMetaArgs(name=f"{SERVICE_NAME}-{workload}", namespace=namespace, labels=LABELS_OF[workload])


def _deployment(
    owner: Component,
    name: str,
    namespace: pulumi.Input[str],
    workload: Literal["api", "workers"],
    pod: core.PodTemplateSpecArgs,
    depends_on: Sequence[pulumi.Resource] = (),
) -> apps.Deployment:
    return apps.Deployment(
        name,
        metadata=_metadata(namespace, workload),
        spec=apps.DeploymentSpecArgs(
            selector=LabelSelectorArgs(match_labels=LABELS_OF[workload]),
            strategy=apps.DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=apps.RollingUpdateDeploymentArgs(max_surge=SURGE, max_unavailable=0),
            ),
            template=pod,
        ),
        # An explicit count would reset a scaled Deployment on every up.
        opts=owner.child(depends_on=depends_on, ignore_changes=["spec.replicas"], custom_timeouts=ROLLOUT),
    )


def _budget(
    owner: Component, name: str, namespace: pulumi.Input[str], workload: Literal["api", "workers"], most: str
) -> kubernetes.policy.v1.PodDisruptionBudget:
    return kubernetes.policy.v1.PodDisruptionBudget(
        name,
        metadata=_metadata(namespace, workload),
        spec=kubernetes.policy.v1.PodDisruptionBudgetSpecArgs(
            selector=LabelSelectorArgs(match_labels=LABELS_OF[workload]),
            max_unavailable=most,  # rounds up, so a drain can always take one
            unhealthy_pod_eviction_policy="AlwaysAllow",
        ),
        opts=owner.child(),
    )


def _resources(share: Workload) -> core.ResourceRequirementsArgs:
    return core.ResourceRequirementsArgs(
        requests={"cpu": share.cpu_request, "memory": share.memory_request},
        limits={"cpu": share.cpu_limit, "memory": share.memory_limit},
    )


def _pre_stop() -> core.LifecycleArgs:
    return core.LifecycleArgs(pre_stop=core.LifecycleHandlerArgs(sleep=core.SleepActionArgs(seconds=PRE_STOP_SECONDS)))
