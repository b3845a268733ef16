"""How a pinned chart is installed, and how the pods it makes are placed on the system nodes."""

from __future__ import annotations

from typing import Any

from pulumi import ResourceOptions
from pulumi_kubernetes.helm.v3 import Release, ReleaseArgs, RepositoryOptsArgs

from infra.aws.add_ons import SYSTEM_TAINT
from infra.settings import Settings
from infra.system_pods import SystemPod, system_pod
from infra.versions import CHARTS

PLACED: dict[str, Any] = {
    "nodeSelector": {"karpenter.sh/controller": "true"},
    "tolerations": [{"key": SYSTEM_TAINT, "operator": "Exists"}],
}


def small(settings: Settings, pod: str) -> dict[str, Any]:
    """Values of a workload on the system nodes, with its requests."""
    return {**PLACED, "resources": resources(settings, pod)}


def resources(settings: Settings, pod: str) -> dict[str, Any]:
    """The resources of a row of the environment, as infra/system_pods.py adds them up."""
    return requests_of(system_pod(settings.environment, pod))


def requests_of(row: SystemPod) -> dict[str, Any]:
    """One row's requests, and twice the memory as the limit."""
    return {
        "requests": {"cpu": f"{row.cpu_millicores}m", "memory": f"{row.memory_mib}Mi"},
        "limits": {"memory": f"{row.memory_mib * 2}Mi"},
    }


def release(chart: str, namespace: str, values: dict[str, Any], opts: ResourceOptions) -> Release:
    """The chart in its pinned version, installed as a whole or not at all."""
    pin, repository = CHARTS[chart]
    return Release(
        chart,
        ReleaseArgs(
            name=chart,
            chart=chart,
            version=pin.version,
            repository_opts=RepositoryOptsArgs(repo=repository),
            namespace=namespace,
            values=values,
            atomic=True,  # an interrupted install must not leave the release "pending"
            timeout=900,
        ),
        opts=opts,
    )
