"""What runs on the system nodes and how much it asks for: the releases set these requests, a rule adds them up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SystemPod:
    """Requests of one workload. ``per_node`` is a DaemonSet: it is on every node, replicas do not count."""

    name: str
    replicas: int
    cpu_millicores: int
    memory_mib: int
    per_node: bool = False


# Add-ons: the requests in their own manifests. What we install ourselves: our choice, larger where there is more to watch.
_ADD_ONS = (
    SystemPod("coredns", 2, 100, 70),
    SystemPod("metrics-server", 2, 100, 200),
    SystemPod("ebs-csi-controller", 2, 60, 240),
    SystemPod("vpc-cni", 0, 50, 0, per_node=True),
    SystemPod("kube-proxy", 0, 100, 0, per_node=True),
    SystemPod("ebs-csi-node", 0, 30, 120, per_node=True),
    SystemPod("node-monitoring-agent", 0, 10, 30, per_node=True),
    SystemPod("secrets-store-csi", 0, 70, 140, per_node=True),
    SystemPod("node-exporter", 0, 20, 32, per_node=True),
    SystemPod("fluent-bit", 0, 50, 64, per_node=True),
)
_OURS: dict[Literal["dev", "prod"], tuple[SystemPod, ...]] = {
    "dev": (
        SystemPod("karpenter", 2, 100, 512),
        SystemPod("load-balancer-controller", 1, 50, 128),
        SystemPod("prometheus", 1, 200, 1024),
        SystemPod("prometheus-operator", 1, 50, 128),
        SystemPod("alertmanager", 1, 20, 64),
        SystemPod("grafana", 1, 50, 256),
        SystemPod("kube-state-metrics", 1, 20, 64),
        SystemPod("prometheus-adapter", 1, 50, 128),
        SystemPod("vertical-pod-autoscaler", 3, 50, 128),
        SystemPod("opentelemetry-collector", 1, 50, 128),
    ),
    "prod": (
        SystemPod("karpenter", 2, 250, 1024),
        SystemPod("load-balancer-controller", 2, 100, 128),
        SystemPod("prometheus", 2, 400, 2048),
        SystemPod("prometheus-operator", 1, 50, 128),
        SystemPod("alertmanager", 2, 20, 64),
        SystemPod("grafana", 1, 100, 256),
        SystemPod("kube-state-metrics", 1, 50, 128),
        SystemPod("prometheus-adapter", 2, 100, 256),
        SystemPod("argo-rollouts", 2, 50, 128),
        SystemPod("vertical-pod-autoscaler", 3, 50, 256),
        SystemPod("opentelemetry-collector", 2, 100, 256),
    ),
}

# One pod of the pooler; database.pooler says how many there are. PgBouncer has one thread, and a few KiB for each client.
POOLER = {pod.name: pod for pod in (SystemPod("pgbouncer", 1, 150, 128), SystemPod("pgbouncer-exporter", 1, 10, 32))}


def system_pods(environment: Literal["dev", "prod"]) -> tuple[SystemPod, ...]:
    """Everything that the system nodes of an environment carry, poolers apart."""
    return (*_ADD_ONS, *_OURS[environment])


def system_pod(environment: Literal["dev", "prod"], name: str) -> SystemPod:
    """One workload's row. Raises KeyError for a name that the environment does not run."""
    rows = {row.name: row for row in system_pods(environment)}
    return rows[name]


def needed(environment: Literal["dev", "prod"], nodes: int, poolers: int = 0) -> tuple[int, int]:
    """CPU in millicores and memory in MiB that the system pods ask of a number of nodes."""
    cpu = poolers * sum(pod.cpu_millicores for pod in POOLER.values())
    memory = poolers * sum(pod.memory_mib for pod in POOLER.values())
    for pod in system_pods(environment):
        count = nodes if pod.per_node else pod.replicas
        cpu, memory = cpu + count * pod.cpu_millicores, memory + count * pod.memory_mib
    return cpu, memory


def on_every_node(environment: Literal["dev", "prod"]) -> tuple[int, int]:
    """CPU in millicores and memory in MiB that DaemonSets take of each node, also of workers."""
    rows = [pod for pod in system_pods(environment) if pod.per_node]
    return sum(pod.cpu_millicores for pod in rows), sum(pod.memory_mib for pod in rows)
