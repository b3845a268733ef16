"""How much the service's namespace may ask of the cluster: what its autoscalers may reach, and no runaway beyond."""

from __future__ import annotations

import math
from operator import mul

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.component import Component
from infra.quantities import mebibytes, millicores
from infra.service_rules import ROLLOUT_SURGE
from infra.settings import Settings
from infra.settings.service import Workload

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
        cpu = max((workload.cpu_limit for workload in _workloads(settings)), key=millicores)
        largest = {"cpu": cpu, "memory": f"{_largest_mib(settings)}Mi"}
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
    counts = [math.ceil(workload.max_replicas * (1 + ROLLOUT_SURGE)) for workload in _workloads(settings)]
    cpu = [millicores(workload.cpu_request) for workload in _workloads(settings)]
    memory = [_requested_mib(settings, workload) for workload in _workloads(settings)]
    counts, cpu, memory = [*counts, OTHER_PODS], [*cpu, max(cpu)], [*memory, max(memory)]
    return {
        "pods": str(sum(counts)),
        "requests.cpu": f"{sum(map(mul, counts, cpu))}m",
        "requests.memory": f"{sum(map(mul, counts, memory))}Mi",
        # The load balancer is Pulumi's, state is in RDS, S3 and Valkey.
        "services.loadbalancers": "0",
        "services.nodeports": "0",
        "persistentvolumeclaims": "0",
    }


def _workloads(settings: Settings) -> tuple[Workload, ...]:
    return settings.service.api, settings.service.workers


def _requested_mib(settings: Settings, workload: Workload) -> int:
    """The largest request that a pod of a workload may come to have."""
    vertical = settings.service.vertical
    moved = mebibytes(vertical.max_memory) if vertical and vertical.mode != "Off" else 0
    return max(mebibytes(workload.memory_request), moved)


def _largest_mib(settings: Settings) -> int:
    limits = [mebibytes(workload.memory_limit) for workload in _workloads(settings)]
    vertical = settings.service.vertical
    return max(*limits, mebibytes(vertical.max_memory) if vertical else 0)
