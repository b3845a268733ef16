"""The OpenTelemetry collector: takes the service's spans by OTLP and gives them to X-Ray."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_kubernetes.helm.v3 import Release

from infra.component import Component
from infra.kubernetes.charts import release, small
from infra.kubernetes.flows import OTLP_PORT
from infra.kubernetes.labels import COLLECTOR_LABELS, MONITORING
from infra.settings import Settings
from infra.system_pods import system_pod

CHART = "opentelemetry-collector"
SERVICE_ACCOUNT = CHART
ENDPOINT = f"http://{CHART}.{MONITORING}.svc:{OTLP_PORT}"
_HERE = "${env:MY_POD_IP}"  # the collector's own variables


class TraceCollector(Component):
    """Batches spans and sends them on; what X-Ray does not take in time is dropped, and counted in its metrics.

    Produces: Release opentelemetry-collector.
    """

    release: Release

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        replicas = system_pod(settings.environment, CHART).replicas
        unused = ("jaeger-compact", "jaeger-grpc", "jaeger-thrift", "otlp", "zipkin")
        values: dict[str, Any] = {
            "mode": "deployment",
            "replicaCount": replicas,
            "podDisruptionBudget": {"enabled": replicas > 1, "maxUnavailable": 1},
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": key,
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": dict(COLLECTOR_LABELS)},
                }
                for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
            ],
            "serviceAccount": {"name": SERVICE_ACCOUNT, "automountServiceAccountToken": False},
            "podSecurityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "securityContext": {
                "runAsUser": 10001,  # the image's own
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "ports": {**{port: {"enabled": False} for port in unused}, "metrics": {"enabled": True}},
            "alternateConfig": _pipeline(settings.region),  # in place of the chart's own, which listens for Jaeger too
            **small(settings, CHART),
        }
        self.release = release(settings, CHART, MONITORING, values, self.child())
        self.register_outputs({})


def _pipeline(region: str) -> dict[str, Any]:
    metrics = {"pull": {"exporter": {"prometheus": {"host": _HERE, "port": 8888}}}}
    return {
        "extensions": {"health_check": {"endpoint": f"{_HERE}:13133"}},  # the chart's probes
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"{_HERE}:{OTLP_PORT}"}}}},
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 25},
            "batch": {},
        },
        # X-Ray keeps traces for 30 days, which nobody can change (unverified: its table of quotas was not read).
        # Not asked: the instance's metadata, which no flow leads to.
        "exporters": {"awsxray": {"region": region, "local_mode": True}},
        "service": {
            "extensions": ["health_check"],
            "telemetry": {"metrics": {"readers": [metrics]}},
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": ["memory_limiter", "batch"], "exporters": ["awsxray"]}
            },
        },
    }
