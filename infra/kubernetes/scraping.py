"""Whose metrics Prometheus reads, beside what its chart finds: by pod, so that no Service has to exist for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.aws import node_provisioning
from infra.kubernetes.labels import (
    COLLECTOR_LABELS,
    COMPONENT,
    HOST_AGENTS,
    MONITORING,
    NAME,
    PGBOUNCER_LABELS,
    ROLLOUT_HASH,
    ROLLOUTS,
    SERVICE_LABELS,
)
from infra.settings import Settings

GROUP = "monitoring.coreos.com/v1"


@dataclass(frozen=True)
class Scraped:
    """Pods of one kind: where they are, by which labels, and the name of the port with their metrics."""

    name: str
    namespace: str
    labels: dict[str, str]
    port: str
    path: str = "/metrics"
    pod_labels: Sequence[str] = ()  # copied to every series


def scraped(settings: Settings) -> list[Scraped]:
    """What is scraped in an environment."""
    home = settings.service.namespace
    rows = [
        Scraped("agent", home, SERVICE_LABELS, "metrics", pod_labels=(COMPONENT, ROLLOUT_HASH)),
        # Ports: the charts' templates (karpenter charts/karpenter, argo-helm charts/argo-rollouts).
        Scraped("karpenter", node_provisioning.NAMESPACE, {NAME: "karpenter"}, "http-metrics"),
        Scraped("opentelemetry-collector", MONITORING, COLLECTOR_LABELS, "metrics"),
        Scraped("fluent-bit", HOST_AGENTS, {NAME: "fluent-bit"}, "http", "/api/v2/metrics/prometheus"),
    ]
    if settings.database.pooler:
        rows.append(Scraped("pgbouncer", home, PGBOUNCER_LABELS, "metrics"))
    if settings.canary:
        rows.append(Scraped("argo-rollouts", ROLLOUTS, {NAME: "argo-rollouts"}, "metrics"))
    return rows


def pod_monitor(prefix: str, row: Scraped, opts: pulumi.ResourceOptions) -> kubernetes.apiextensions.CustomResource:
    """One PodMonitor, beside Prometheus: who may edit the service's namespace cannot change what is scraped."""
    return kubernetes.apiextensions.CustomResource(
        f"{prefix}-{row.name}",
        api_version=GROUP,
        kind="PodMonitor",
        metadata=ObjectMetaArgs(name=row.name, namespace=MONITORING),
        spec={
            "namespaceSelector": {"matchNames": [row.namespace]},
            "selector": {"matchLabels": row.labels},
            "podTargetLabels": list(row.pod_labels),
            "podMetricsEndpoints": [{"port": row.port, "path": row.path}],
            "jobLabel": NAME,
        },
        opts=opts,
    )
