"""How much the service's namespace may ask of the cluster: what its autoscalers may reach, and no runaway beyond."""

from __future__ import annotations

import math

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.capacity_rules import ROLLOUT_SURGE
from infra.component import Component
from infra.quantities import mebibytes, millicores
from infra.settings import Settings

OTHER_PODS = 10  # Jobs with their retries, poolers, a person's debugging pod


class Quotas(Component):
    """Bounds of the namespace, and requests for containers that name none (a quota refuses those otherwise).

    Produces: ResourceQuota, LimitRange.
    """

    def __init__(
        self, name: str, settings: Settings, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, opts)
        metadata = ObjectMetaArgs(name="bounds", namespace=namespace)
        core.ResourceQuota(
            name, metadata=metadata, spec=core.ResourceQuotaSpecArgs(hard=_hard(settings)), opts=self.child()
        )
        largest = {"cpu": settings.service.cpu_limit, "memory": f"{_largest_mib(settings)}Mi"}
        core.LimitRange(
            name,
            metadata=metadata,
            spec=core.LimitRangeSpecArgs(
                limits=[
                    core.LimitRangeItemArgs(
                        type="Container",
                        default_request={"cpu": "50m", "memory": "64Mi"},
                        default={"memory": "256Mi"},  # no CPU limit by default: it would throttle a start
                        max=largest,
                    )
                ]
            ),
            opts=self.child(),
        )
        self.register_outputs({})


def _hard(settings: Settings) -> dict[str, str]:
    service = settings.service
    pods = math.ceil(service.autoscaling.max_replicas * (1 + ROLLOUT_SURGE)) + OTHER_PODS
    return {
        "pods": str(pods),
        "requests.cpu": f"{pods * millicores(service.cpu_request)}m",
        "requests.memory": f"{pods * _requested_mib(settings)}Mi",
        # The load balancer is Pulumi's, state is in RDS, S3 and Valkey.
        "services.loadbalancers": "0",
        "services.nodeports": "0",
        "persistentvolumeclaims": "0",
    }


def _requested_mib(settings: Settings) -> int:
    """The largest request that a pod of the service may come to have."""
    vertical = settings.service.vertical
    moved = mebibytes(vertical.max_memory) if vertical.mode != "Off" else 0
    return max(mebibytes(settings.service.memory_request), moved)


def _largest_mib(settings: Settings) -> int:
    return max(mebibytes(settings.service.memory_limit), mebibytes(settings.service.vertical.max_memory))
