"""The metrics that exist: ours from the service's own registry, others from where their names were read."""

from __future__ import annotations

import re

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.observability.metrics import Metrics
from infra.kubernetes.alerts import record
from infra.kubernetes.slo import OBJECTIVES, WINDOWS

KUBE_STATE_METRICS = "kubernetes/kube-state-metrics docs/metrics/workload, docs/metrics/cluster"
KARPENTER = "aws/karpenter-provider-aws website/content/en/docs/reference/metrics.md"
PGBOUNCER = "prometheus-community/pgbouncer_exporter README.md"
KUBELET = "kubernetes/website content/en/docs/reference/instrumentation/metrics.md"
CADVISOR = "google/cadvisor docs/storage/prometheus.md"
COLLECTOR = "opentelemetry.io/docs/collector/internal-telemetry; counters with or without Prometheus's suffix"
NODE = "prometheus/node_exporter collector/{cpu,meminfo}_linux.go"

OTHERS = {
    "rollout_info": "argoproj/argo-rollouts docs/features/controller-metrics.md",
    "up": "prometheus.io/docs/concepts/jobs_instances",
    "otelcol_exporter_send_failed_spans": COLLECTOR,
    "otelcol_exporter_send_failed_spans_total": COLLECTOR,
    "prometheus_rule_evaluation_failures_total": "prometheus/prometheus rules/group.go",
    "alertmanager_notifications_failed_total": "prometheus/alertmanager notify/metrics.go",
    "kube_deployment_spec_replicas": KUBE_STATE_METRICS,
    "kube_horizontalpodautoscaler_status_current_replicas": KUBE_STATE_METRICS,
    "kube_horizontalpodautoscaler_status_desired_replicas": KUBE_STATE_METRICS,
    "kube_horizontalpodautoscaler_status_condition": KUBE_STATE_METRICS,
    "kube_horizontalpodautoscaler_spec_max_replicas": KUBE_STATE_METRICS,
    "kube_job_failed": KUBE_STATE_METRICS,
    "kube_node_status_condition": KUBE_STATE_METRICS,
    "kube_pod_container_status_restarts_total": KUBE_STATE_METRICS,
    "kube_pod_status_phase": KUBE_STATE_METRICS,
    "kube_pod_status_unschedulable": KUBE_STATE_METRICS,
    "karpenter_interruption_received_messages_total": KARPENTER,
    "karpenter_nodepools_limit": KARPENTER,
    "karpenter_nodepools_usage": KARPENTER,
    "pgbouncer_pools_client_active_connections": PGBOUNCER,
    "pgbouncer_pools_client_maxwait_seconds": PGBOUNCER,
    "pgbouncer_pools_client_waiting_connections": PGBOUNCER,
    "pgbouncer_pools_server_active_connections": PGBOUNCER,
    "pgbouncer_pools_server_idle_connections": PGBOUNCER,
    "kubelet_certificate_manager_server_ttl_seconds": KUBELET,
    "kubelet_volume_stats_available_bytes": KUBELET,
    "kubelet_volume_stats_capacity_bytes": KUBELET,
    "container_cpu_usage_seconds_total": CADVISOR,
    "container_memory_working_set_bytes": CADVISOR,
    "node_cpu_seconds_total": NODE,
    "node_memory_MemAvailable_bytes": NODE,
    "node_memory_MemTotal_bytes": NODE,
}
RECORDED = {record(objective, window) for objective in OBJECTIVES for window in WINDOWS}
WORDS = {"and", "or", "unless", "bool", "by", "on", "without", "ignoring", "group_left", "group_right", "offset"}


def ours() -> set[str]:
    """Every name that a process of the service may expose, those of labelled metrics nobody used yet included."""
    metrics = Metrics()
    found = {
        sample.name
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
        for sample in family.samples
    }
    for family in metrics.registry.collect():
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        found |= {family.name + ending for ending in endings}
    return found


def used(query: str) -> set[str]:
    """The metrics that a query reads."""
    bare = re.sub(r'"[^"]*"', "", query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    names = re.findall(r"(?<![\w.])([a-zA-Z_:][\w:]*)\b(?!\s*\()", bare)
    return set(names) - WORDS
