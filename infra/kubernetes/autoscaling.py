"""The HPA of the service: up at once, down slowly."""

from __future__ import annotations

import pulumi
from pulumi_kubernetes.autoscaling import v2
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.component import Component
from infra.kubernetes.labels import SERVICE_LABELS, SERVICE_NAME
from infra.quantities import mebibytes
from infra.settings import Settings


class HorizontalScaling(Component):
    """Replicas by container CPU and by memory.

    Memory is an AverageValue of the limit: a Utilization follows the request, which a VPA moves.

    Produces: HorizontalPodAutoscaler.
    """

    def __init__(
        self, name: str, settings: Settings, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, opts)
        scaling = settings.service.autoscaling
        memory = mebibytes(settings.service.memory_limit) * scaling.memory_percent_of_limit // 100
        v2.HorizontalPodAutoscaler(
            name,
            metadata=ObjectMetaArgs(name=SERVICE_NAME, namespace=namespace, labels=SERVICE_LABELS),
            spec=v2.HorizontalPodAutoscalerSpecArgs(
                scale_target_ref=v2.CrossVersionObjectReferenceArgs(
                    api_version="apps/v1", kind="Deployment", name=SERVICE_NAME
                ),
                min_replicas=scaling.min_replicas,
                max_replicas=scaling.max_replicas,
                metrics=[
                    _container_metric(
                        "cpu", v2.MetricTargetArgs(type="Utilization", average_utilization=scaling.cpu_percent)
                    ),
                    _container_metric("memory", v2.MetricTargetArgs(type="AverageValue", average_value=f"{memory}Mi")),
                ],
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
        self.register_outputs({})


def _container_metric(resource: str, target: v2.MetricTargetArgs) -> v2.MetricSpecArgs:
    # Of the container, not of the pod: a sidecar must not dilute it.
    return v2.MetricSpecArgs(
        type="ContainerResource",
        container_resource=v2.ContainerResourceMetricSourceArgs(container=SERVICE_NAME, name=resource, target=target),
    )


def _policy(kind: str, value: int, seconds: int) -> v2.HPAScalingPolicyArgs:
    return v2.HPAScalingPolicyArgs(type=kind, value=value, period_seconds=seconds)
