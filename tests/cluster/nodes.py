"""The nodes that an environment's pools would launch, as kwok plays them: labels, taints and what EKS leaves for pods."""

from __future__ import annotations

from infra.aws.add_ons import SYSTEM_TAINT
from infra.instances import allocatable, shape
from infra.node_mix import DOMAINS, SPREAD_LABEL
from infra.settings import Settings
from tests.cluster.control_plane import ControlPlane

CAPACITY_TYPE = "karpenter.sh/capacity-type"
ZONE = "topology.kubernetes.io/zone"


def launch(server: ControlPlane, settings: Settings, *, each: int = 1) -> None:
    """In every zone a system node, and so many workers of each domain, Spot and on demand."""
    workers = settings.nodes.workers
    for zone in settings.network.zones:
        place = {ZONE: zone.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        system = settings.nodes.system.instance_types[0]
        server.add_node(
            f"system-{zone.name}",
            {**place, CAPACITY_TYPE: "on-demand", "karpenter.sh/controller": "true"},
            _capacity(system, 110),
            taints=[{"key": SYSTEM_TAINT, "value": "true", "effect": "NoSchedule"}],
        )
        for capacity, domains in DOMAINS.items():
            for number, domain in enumerate(sorted(domains) * each):
                kind = sorted(workers.instance_types)[number % len(workers.instance_types)]
                labels = {**place, CAPACITY_TYPE: capacity, SPREAD_LABEL: domain, "karpenter.sh/nodepool": capacity}
                server.add_node(
                    f"{capacity}-{zone.name}-{number}",
                    {**labels, "node.kubernetes.io/instance-type": kind},
                    _capacity(kind, workers.max_pods),
                )
    server.nodes_ready()


def _capacity(kind: str, max_pods: int) -> dict[str, str]:
    known = shape(kind)
    assert known is not None, kind
    left = allocatable(known, max_pods)
    return {"cpu": f"{int(left.cpu * 1000)}m", "memory": f"{int(left.memory_mib)}Mi", "pods": str(left.pods)}
