"""The HPAs, up at once and down slowly, and the VPAs beside them, which move memory requests only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.autoscaling import v2
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.component import Component
from infra.kubernetes.custom_metrics import ACTIVE_RUNS, QUEUED_RUNS
from infra.kubernetes.labels import API, LABELS_OF, SERVICE_NAME
from infra.quantities import mebibytes
from infra.settings import Settings
from infra.settings.service import Vertical, Workload

Target = Mapping[str, str]  # apiVersion, kind and name of what is scaled


class Scaling(Component):
    """Replicas by container CPU and memory, of workers also by their runs; requests by what is used.

    Memory is an AverageValue of the limit: a Utilization follows the request, which the VPA moves.

    Produces: HorizontalPodAutoscaler; with ``service.vertical`` also VerticalPodAutoscaler.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        workload: Literal["api", "workers"],
        target: Target,
        namespace: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        share = settings.service.api if workload == API else settings.service.workers
        metadata = ObjectMetaArgs(name=target["name"], namespace=namespace, labels=LABELS_OF[workload])
        v2.HorizontalPodAutoscaler(
            name,
            metadata=metadata,
            spec=v2.HorizontalPodAutoscalerSpecArgs(
                scale_target_ref=v2.CrossVersionObjectReferenceArgs(
                    api_version=target["apiVersion"], kind=target["kind"], name=target["name"]
                ),
                min_replicas=share.min_replicas,
                max_replicas=share.max_replicas,
                metrics=[*_usage(share), *([] if workload == API else _runs(settings))],
                behavior=v2.HorizontalPodAutoscalerBehaviorArgs(
                    scale_up=v2.HPAScalingRulesArgs(
                        stabilization_window_seconds=0,
                        select_policy="Max",
                        policies=[_policy("Percent", 100, 15), _policy("Pods", 8, 15)],
                    ),
                    # Slow: a pod that leaves drains its runs, and the queue does not show what is being worked on.
                    scale_down=v2.HPAScalingRulesArgs(
                        stabilization_window_seconds=600,
                        select_policy="Min",
                        policies=[_policy("Percent", 10, 60), _policy("Pods", 2, 60)],
                    ),
                ),
            ),
            opts=self.child(),
        )
        if settings.service.vertical:
            CustomResource(
                f"{name}-vertical",
                api_version="autoscaling.k8s.io/v1",
                kind="VerticalPodAutoscaler",
                metadata=metadata,
                spec={"targetRef": dict(target), **_vertical(settings.service.vertical)},
                opts=self.child(),
            )
        self.register_outputs({})


def _usage(share: Workload) -> list[v2.MetricSpecArgs]:
    memory = mebibytes(share.memory_limit) * share.memory_percent_of_limit // 100
    targets = {
        "cpu": v2.MetricTargetArgs(type="Utilization", average_utilization=share.cpu_percent),
        "memory": v2.MetricTargetArgs(type="AverageValue", average_value=f"{memory}Mi"),
    }
    # Of the container, not of the pod: a sidecar must not dilute it.
    return [
        v2.MetricSpecArgs(
            type="ContainerResource",
            container_resource=v2.ContainerResourceMetricSourceArgs(
                container=SERVICE_NAME, name=resource, target=target
            ),
        )
        for resource, target in targets.items()
    ]


def _runs(settings: Settings) -> list[v2.MetricSpecArgs]:
    workers = settings.service.workers
    return [
        v2.MetricSpecArgs(
            type="Pods",
            pods=v2.PodsMetricSourceArgs(
                metric=v2.MetricIdentifierArgs(name=ACTIVE_RUNS),
                target=v2.MetricTargetArgs(type="AverageValue", average_value=str(workers.active_runs)),
            ),
        ),
        v2.MetricSpecArgs(
            type="External",
            external=v2.ExternalMetricSourceArgs(
                metric=v2.MetricIdentifierArgs(name=QUEUED_RUNS, selector=LabelSelectorArgs()),
                target=v2.MetricTargetArgs(type="AverageValue", average_value=str(workers.queued_runs)),
            ),
        ),
    ]


def _vertical(bounds: Vertical) -> dict[str, object]:
    return {
        "updatePolicy": {"updateMode": bounds.mode, "minReplicas": 2},
        "resourcePolicy": {
            "containerPolicies": [
                {
                    "containerName": SERVICE_NAME,
                    "controlledResources": list(bounds.controls),
                    "controlledValues": "RequestsOnly",  # the limit is what the HPA's memory target is a part of
                    "minAllowed": {"cpu": bounds.min_cpu, "memory": bounds.min_memory},
                    "maxAllowed": {"cpu": bounds.max_cpu, "memory": bounds.max_memory},
                },
                {"containerName": "*", "mode": "Off"},
            ]
        },
    }


def _policy(kind: str, value: int, seconds: int) -> v2.HPAScalingPolicyArgs:
    return v2.HPAScalingPolicyArgs(type=kind, value=value, period_seconds=seconds)
