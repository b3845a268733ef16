"""How a pinned chart is installed: from where its images come, and how its pods are placed on the system nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi import ResourceOptions
from pulumi_kubernetes.helm.v3 import Release, ReleaseArgs, RepositoryOptsArgs

from infra.aws.add_ons import SYSTEM_LABELS, SYSTEM_TAINT
from infra.aws.registry import pulled_through
from infra.settings import Settings
from infra.system_pods import SystemPod, system_pod
from infra.versions import CHARTS

PLACED: dict[str, Any] = {
    "nodeSelector": SYSTEM_LABELS,
    "tolerations": [{"key": SYSTEM_TAINT, "operator": "Exists"}],
}

# The values of each chart that name an image, or the registry of one, as the chart has them by itself.
_VERTICAL = "registry.k8s.io/autoscaling"
IMAGES: dict[str, dict[str, str]] = {
    "karpenter": {"controller.image.repository": "public.ecr.aws/karpenter/controller"},
    "aws-load-balancer-controller": {"image.repository": "public.ecr.aws/eks/aws-load-balancer-controller"},
    "argo-rollouts": {"controller.image.registry": "quay.io"},
    "prometheus-adapter": {"image.repository": "registry.k8s.io/prometheus-adapter/prometheus-adapter"},
    "vertical-pod-autoscaler": {
        "recommender.image.repository": f"{_VERTICAL}/vpa-recommender",
        "updater.image.repository": f"{_VERTICAL}/vpa-updater",
        "admissionController.image.repository": f"{_VERTICAL}/vpa-admission-controller",
        "admissionController.certGen.image.repository": "registry.k8s.io/ingress-nginx/kube-webhook-certgen",
    },
    # By itself the chart names cr.fluentbit.io, which ECR does not pull from; Docker Hub has the same images.
    "fluent-bit": {"image.repository": "docker.io/fluent/fluent-bit"},
    # Contrib: the other distributions have no awsxray exporter. Its tag is the chart's.
    "opentelemetry-collector": {"image.repository": "docker.io/otel/opentelemetry-collector-contrib"},
    "kube-prometheus-stack": {
        "prometheusOperator.image.registry": "quay.io",
        "prometheusOperator.prometheusConfigReloader.image.registry": "quay.io",
        "prometheus.prometheusSpec.image.registry": "quay.io",
        "alertmanager.alertmanagerSpec.image.registry": "quay.io",
        "prometheus-node-exporter.image.registry": "quay.io",
        "kube-state-metrics.image.registry": "registry.k8s.io",
        "grafana.image.registry": "docker.io",
    },
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


def release(
    settings: Settings,
    chart: str,
    namespace: str,
    values: Mapping[str, Any],
    opts: ResourceOptions,
    *,
    skip_crds: bool | None = None,
) -> Release:
    """The chart in its pinned version, installed as a whole or not at all."""
    pin, location = CHARTS[chart]
    by_oci = location.startswith("oci://")
    for path, image in IMAGES.get(chart, {}).items():
        if (through := pulled_through(settings, image)) != image:
            values = _with(values, path.split("."), through)
    return Release(
        chart,
        ReleaseArgs(
            name=chart,
            chart=location if by_oci else chart,
            version=pin.version,
            repository_opts=None if by_oci else RepositoryOptsArgs(repo=location),
            namespace=namespace,
            values=values,
            skip_crds=skip_crds,
            atomic=True,  # an interrupted install must not leave the release "pending"
            timeout=900,
        ),
        opts=opts,
    )


def _with(values: Mapping[str, Any], path: list[str], value: str) -> dict[str, Any]:
    first, *rest = path
    return {**values, first: _with(values.get(first, {}), rest, value) if rest else value}
