"""Grafana's dashboards as code: objectives, service and queue, autoscaling and nodes, data stores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from app import contract
from infra.kubernetes.alerts import record
from infra.kubernetes.labels import MONITORING
from infra.kubernetes.slo import OBJECTIVES, failed_share, late_share, request_rate, slow_share

CONFIG_MAP = "agent-dashboards"
RATE = "$__rate_interval"  # Grafana fills in four scrapes or the resolution, whichever is longer
COLUMNS, HEIGHT = 2, 8  # of Grafana's 24 units of width


@dataclass(frozen=True)
class Panel:
    """One graph; ``queries`` maps a legend to PromQL."""

    title: str
    unit: str
    queries: dict[str, str]
    description: str = ""
    threshold: float | None = None  # drawn as a line


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    panels: Sequence[Panel]


def dashboards() -> list[Dashboard]:
    """The boards, as data."""
    return [
        Dashboard("agents-slo", "Agents: objectives", _objectives()),
        Dashboard("agents-service", "Agents: service and queue", _service()),
        Dashboard("agents-scaling", "Agents: autoscaling and nodes", _scaling()),
        Dashboard("agents-data", "Agents: data stores", _data()),
    ]


def config_map(name: str, opts: pulumi.ResourceOptions) -> kubernetes.core.v1.ConfigMap:
    """All boards in the one ConfigMap that Grafana mounts."""
    return kubernetes.core.v1.ConfigMap(
        f"{name}-dashboards",
        metadata=ObjectMetaArgs(name=CONFIG_MAP, namespace=MONITORING),
        data={f"{board.uid}.json": json.dumps(document(board), sort_keys=True) for board in dashboards()},
        opts=opts,
    )


def document(board: Dashboard) -> dict[str, Any]:
    """A board in Grafana's dashboard schema 39 (Grafana 11 and later read it)."""
    return {
        "uid": board.uid,
        "title": board.title,
        "tags": ["agents"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "panels": [_panel(index, panel) for index, panel in enumerate(board.panels)],
    }


def _panel(index: int, panel: Panel) -> dict[str, Any]:
    width = 24 // COLUMNS
    row, column = divmod(index, COLUMNS)
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.threshold is not None:
        steps.append({"color": "red", "value": panel.threshold})
    source = {"type": "prometheus", "uid": "prometheus"}
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": source,
        "gridPos": {"x": column * width, "y": row * HEIGHT, "w": width, "h": HEIGHT},
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {"thresholdsStyle": {"mode": "off" if panel.threshold is None else "line"}},
            },
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": source, "expr": query, "legendFormat": legend}
            for number, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _objectives() -> list[Panel]:
    panels: list[Panel] = []
    for objective in OBJECTIVES:
        burn = {f"{window}": f"{record(objective, window)} / {objective.budget}" for window in ("5m", "1h", "6h", "3d")}
        left = {"of three days": f"1 - {record(objective, '3d')} / {objective.budget}"}
        panels += [
            Panel(f"{objective.promise}: burn rate", "x", burn, "1 spends the month's budget in a month.", 14.4),
            Panel(f"{objective.promise}: budget left", "percentunit", left),
        ]
    return panels


def _service() -> list[Panel]:
    http, runs = contract.METRIC_HTTP_DURATION, contract.METRIC_RUNS
    return [
        Panel("Requests", "reqps", {"answered": request_rate(RATE)}),
        Panel(
            "Bad answers",
            "percentunit",
            {"5xx": failed_share(RATE), "2 s or more": slow_share(RATE), "first event late": late_share(RATE)},
        ),
        Panel("Latency, p95 by class", "s", {"{{route_class}}": _quantile(0.95, http, "route_class")}, threshold=2),
        Panel("First event, p95", "s", {"p95": _quantile(0.95, contract.METRIC_TIME_TO_FIRST_EVENT)}, threshold=2),
        Panel("Runs that ended", "ops", {"{{status}}": f"sum by (status) (rate({runs}[{RATE}]))"}),
        Panel("Runs in progress", "short", {"all pods": f"sum({contract.METRIC_ACTIVE_WORKFLOWS})"}),
        # Every process tells the whole queue.
        Panel("Runs that wait", "short", {"{{priority}}": f"max by (priority) ({contract.METRIC_QUEUE_DEPTH})"}),
        Panel(
            "Oldest waiting run", "s", {"{{priority}}": f"max by (priority) ({contract.METRIC_QUEUE_OLDEST})"}, "", 60
        ),
        Panel(
            "What went wrong",
            "short",
            {
                "retries": _increase(contract.METRIC_RUN_RETRIES),
                "dead letters": _increase(contract.METRIC_DEAD_LETTERS),
                "leases lost": _increase(contract.METRIC_LEASE_LOSSES),
                "taken over: {{reason}}": f"sum by (reason) (increase({contract.METRIC_RUN_RESUMED}[{RATE}]))",
            },
        ),
        Panel(
            "Nodes of graphs, p95",
            "s",
            {"{{graph}} {{node}}": _quantile(0.95, contract.METRIC_NODE_DURATION, "graph", "node")},
        ),
        Panel(
            "Model calls",
            "ops",
            {"{{provider}} {{outcome}}": f"sum by (provider, outcome) (rate({contract.METRIC_LLM_REQUESTS}[{RATE}]))"},
        ),
        Panel(
            "Tokens",
            "short",
            {"{{model}} {{direction}}": f"sum by (model, direction) (rate({contract.METRIC_LLM_TOKENS}[{RATE}]))"},
        ),
    ]


def _scaling() -> list[Panel]:
    hpa = "kube_horizontalpodautoscaler"
    return [
        Panel(
            "Replicas",
            "short",
            {
                "{{horizontalpodautoscaler}}": f"max by (horizontalpodautoscaler) ({hpa}_status_current_replicas)",
                "{{horizontalpodautoscaler}} wanted": f"max by (horizontalpodautoscaler) ({hpa}_status_desired_replicas)",
                "{{horizontalpodautoscaler}} most": f"max by (horizontalpodautoscaler) ({hpa}_spec_max_replicas)",
            },
        ),
        Panel("Pods by phase", "short", {"{{namespace}} {{phase}}": "sum by (namespace, phase) (kube_pod_status_phase) > 0"}),
        Panel("CPU of containers", "short", {"{{namespace}}": f'sum by (namespace) (rate(container_cpu_usage_seconds_total{{container!=""}}[{RATE}]))'}),
        Panel("Memory of containers", "bytes", {"{{namespace}}": 'sum by (namespace) (container_memory_working_set_bytes{container!=""})'}),
        Panel("Node pools", "percentunit", {"{{nodepool}} {{resource_type}}": "max by (nodepool, resource_type) (karpenter_nodepools_usage / karpenter_nodepools_limit)"}, threshold=0.9),
        Panel("Interruption notices", "short", {"{{message_type}}": f"sum by (message_type) (increase(karpenter_interruption_received_messages_total[{RATE}]))"}),
        Panel("CPU of nodes", "percentunit", {"{{instance}}": f'1 - avg by (instance) (rate(node_cpu_seconds_total{{mode="idle"}}[{RATE}]))'}),
        Panel("Memory of nodes", "percentunit", {"{{instance}}": "1 - max by (instance) (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)"}),
        Panel("Restarts", "short", {"{{namespace}} {{pod}}": "sum by (namespace, pod) (increase(kube_pod_container_status_restarts_total[1h])) > 0"}),
        Panel("Disks of claims", "percentunit", {"{{persistentvolumeclaim}}": "1 - min by (persistentvolumeclaim) (kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes)"}, threshold=0.9),
    ]  # fmt: skip


def _data() -> list[Panel]:
    """As the cluster sees them; RDS's and Valkey's own numbers are in CloudWatch."""
    return [
        Panel(
            "Connections of the service's pools",
            "short",
            {
                "open": f"sum({contract.METRIC_POOL_SIZE})",
                "in use": f"sum({contract.METRIC_POOL_USED})",
                "callers that wait": f"sum({contract.METRIC_POOL_WAITING})",
            },
        ),
        Panel("Wait for a connection, p95", "s", {"p95": _quantile(0.95, contract.METRIC_POOL_WAIT)}, threshold=0.5),
        Panel(
            "PgBouncer: clients",
            "short",
            {
                "active": "sum(pgbouncer_pools_client_active_connections)",
                "waiting": "sum(pgbouncer_pools_client_waiting_connections)",
            },
        ),
        Panel(
            "PgBouncer: connections to PostgreSQL",
            "short",
            {
                "active": "sum(pgbouncer_pools_server_active_connections)",
                "idle": "sum(pgbouncer_pools_server_idle_connections)",
            },
        ),
        Panel("PgBouncer: longest wait", "s", {"{{pod}}": "max by (pod) (pgbouncer_pools_client_maxwait_seconds)"}, threshold=1),
        Panel("Wake-up paths that are down", "short", {"{{path}}": f"max by (path) ({contract.METRIC_SIGNALS_DEGRADED})"}),
        Panel("Events stored for streams", "ops", {"all pods": f"sum(rate({contract.METRIC_EVENTS_WRITTEN}[{RATE}]))"}),
        Panel("Runs claimed", "ops", {"all pods": f"sum(rate({contract.METRIC_RUN_CLAIMS}[{RATE}]))"}),
    ]  # fmt: skip


def _quantile(share: float, histogram: str, *labels: str) -> str:
    by = ", ".join(("le", *labels))
    return f"histogram_quantile({share}, sum by ({by}) (rate({histogram}_bucket[{RATE}])))"


def _increase(counter: str) -> str:
    return f"sum(increase({counter}[{RATE}]))"
