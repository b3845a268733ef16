"""What stands behind the HPAs' own metrics and the VPAs: prometheus-adapter and the vertical pod autoscaler."""

from __future__ import annotations

from typing import Any

from pulumi import ResourceOptions
from pulumi_kubernetes.helm.v3 import Release

from infra.component import Component
from infra.kubernetes.charts import release, small
from infra.kubernetes.custom_metrics import adapter_rules
from infra.kubernetes.labels import MONITORING
from infra.kubernetes.monitoring import PROMETHEUS_URL
from infra.settings import Settings
from infra.system_pods import system_pod

ADAPTER = "prometheus-adapter"
VERTICAL = "vertical-pod-autoscaler"


class MetricsAdapter(Component):
    """Serves custom.metrics.k8s.io and external.metrics.k8s.io from Prometheus.

    Produces: Release prometheus-adapter.
    """

    release: Release

    def __init__(self, name: str, settings: Settings, opts: ResourceOptions) -> None:
        super().__init__(name, opts)
        replicas = system_pod(settings.environment, ADAPTER).replicas
        url, _, port = PROMETHEUS_URL.rpartition(":")
        values: dict[str, Any] = {
            "prometheus": {"url": url, "port": int(port)},
            "rules": adapter_rules(),
            "replicas": replicas,
            "podDisruptionBudget": {"enabled": replicas > 1, "maxUnavailable": 1},
            **small(settings, ADAPTER),
        }
        self.release = release(settings, ADAPTER, MONITORING, values, self.child())
        self.register_outputs({})


class VerticalAutoscaler(Component):
    """Recommends memory requests and, unless ``service.vertical.mode`` is Off, sets them.

    Produces: Release vertical-pod-autoscaler, with its CRDs; Helm never upgrades those (docs/operations/upgrades.md).
    """

    release: Release

    def __init__(self, name: str, settings: Settings, opts: ResourceOptions) -> None:
        super().__init__(name, opts)
        vertical = settings.service.vertical
        acts = vertical is not None and vertical.mode != "Off"
        # One of each: while one is away requests stay as they are. A budget over a single pod would hold up every drain.
        part: dict[str, Any] = {
            "replicas": 1,
            "podDisruptionBudget": {"enabled": False},
            **small(settings, VERTICAL),
        }
        acting = {"enabled": True, **part} if acts else {"enabled": False}
        values = {"recommender": part, "updater": acting, "admissionController": acting}
        self.release = release(settings, VERTICAL, "kube-system", values, self.child())
        self.register_outputs({})
