"""Recording and alert rules, only on what is scraped in the cluster: RDS, Valkey and backups have CloudWatch alarms.

Every alert has a series that fires it and one that does not (tests/rules/alert_cases.py) and a page in docs/runbooks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from app import contract
from infra.kubernetes.slo import OBJECTIVES, WINDOWS, Objective

RUNBOOKS = "docs/runbooks"
WATCHDOG = "Watchdog"
Severity = Literal["page", "ticket", "none"]
# How fast a budget burns: for each, factor, window and the short window that ends the alert soon after the trouble.
SPEEDS: tuple[tuple[str, Severity, str, tuple[tuple[float, str, str], ...]], ...] = (
    ("Fast", "page", "2m", ((14.4, "1h", "5m"), (6, "6h", "30m"))),
    ("Slow", "ticket", "15m", ((3, "1d", "2h"), (1, "3d", "6h"))),
)


@dataclass(frozen=True)
class Alert:
    """A page wakes somebody, a ticket waits for the morning, none only says that alerting works."""

    name: str
    severity: Severity
    hold: str  # how long the expression must be true
    summary: str
    expression: str
    labels: dict[str, str] = field(default_factory=dict[str, str])


def rule_groups(namespace: str) -> list[dict[str, Any]]:
    """Prometheus's rule groups; ``namespace`` is the service's."""
    records = {
        "slo-short": ("30s", [window for window in WINDOWS if not window.endswith("d")]),
        # Days do not change in seconds; two minutes is well within the five for which a sample counts.
        "slo-long": ("2m", [window for window in WINDOWS if window.endswith("d")]),
    }
    groups: list[dict[str, Any]] = [
        {
            "name": name,
            "interval": interval,
            "rules": [
                {"record": record(objective, window), "expr": objective.bad(window, "")}
                for objective in OBJECTIVES
                for window in windows
            ],
        }
        for name, (interval, windows) in records.items()
    ]
    return [*groups, {"name": "alerts", "interval": "30s", "rules": [_rule(alert) for alert in alerts(namespace)]}]


def alerts(namespace: str) -> list[Alert]:
    """The alerts of an environment, as data."""
    return [*_burn_rates(), *_service(namespace), *_scaling(namespace), *_platform()]


def record(objective: Objective, window: str) -> str:
    """The name under which the share of bad events over a window is recorded."""
    return f"slo:agent_{objective.name}:bad_ratio_rate{window}"


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.hold,
        "labels": {"severity": alert.severity, **alert.labels},
        "annotations": {"summary": alert.summary, "runbook": f"{RUNBOOKS}/{alert.name}.md"},
    }


def _burn_rates() -> Iterator[Alert]:
    """SRE workbook, chapter 5: 2 % of a month's budget in 1 h or 5 % in 6 h page; 10 % in 1 d or in 3 d is a ticket."""
    for objective in OBJECTIVES:
        name = "Agent" + "".join(map(str.title, objective.name.split("_"))) + "Budget"
        for speed, severity, hold, pairs in SPEEDS:
            burns = [
                f"({record(objective, window)} > {factor * objective.budget:.6g} and "
                f"{record(objective, short)} > {factor * objective.budget:.6g})"
                for factor, window, short in pairs
            ]
            summary = f"The error budget of “{objective.promise}” burns {'fast' if speed == 'Fast' else 'steadily'}."
            yield Alert(name + speed, severity, hold, summary, " or ".join(burns), {"slo": objective.name})


def _service(namespace: str) -> Iterator[Alert]:
    yield Alert(
        "AgentMetricsAbsent", "page", "5m",
        "No pod of the service is scraped: nothing else here can fire for it.",
        f"absent({contract.METRIC_HTTP_REQUESTS})",
    )  # fmt: skip
    # Every process reports the whole queue: the largest is the truth, a sum would count it once for each.
    oldest = f"max by (priority) ({contract.METRIC_QUEUE_OLDEST}"
    yield Alert(
        "AgentQueueWaits", "page", "5m",
        "Runs of priority {{ $labels.priority }} wait for a worker for more than a minute.",
        f'{oldest}{{priority!="low"}}) > 60',
    )  # fmt: skip
    yield Alert(
        "AgentLowPriorityStarves", "ticket", "10m",
        "Runs of low priority wait for more than a quarter of an hour.",
        f'{oldest}{{priority="low"}}) > 900',
    )  # fmt: skip
    yield Alert(
        "AgentRunsDeadLettered", "ticket", "0s",
        "{{ $value | humanize }} runs were given up after too many failures.",
        f"sum(increase({contract.METRIC_DEAD_LETTERS}[15m])) > 0",
    )  # fmt: skip
    yield Alert(
        "AgentLeasesLost", "ticket", "5m",
        "Workers lose the leases of runs in progress: they stall, or cannot reach PostgreSQL in time.",
        f"sum(increase({contract.METRIC_LEASE_LOSSES}[15m])) > 3",
    )  # fmt: skip
    yield Alert(
        "AgentPoolWaits", "page", "10m",
        "One connection in twenty takes more than half a second to get: the pools, PgBouncer or PostgreSQL are full.",
        f"histogram_quantile(0.95, sum by (le) (rate({contract.METRIC_POOL_WAIT}_bucket[5m]))) > 0.5",
    )  # fmt: skip
    yield Alert(
        "AgentSignalsDegraded", "ticket", "10m",
        "Processes wake each other without {{ $labels.path }}: runs start later and streams poll.",
        f"max by (path) ({contract.METRIC_SIGNALS_DEGRADED}) > 0",
    )  # fmt: skip
    calls = contract.METRIC_LLM_REQUESTS
    yield Alert(
        "AgentModelProviderFails", "ticket", "10m",
        "A fifth of the calls to {{ $labels.provider }} fail; answers come from the next link of the chain.",
        f'sum by (provider) (rate({calls}{{outcome!="success"}}[5m])) / sum by (provider) (rate({calls}[5m])) > 0.2',
    )  # fmt: skip
    yield Alert(
        "AgentPodsRestart", "ticket", "0s",
        "Containers of {{ $labels.pod }} restart again and again.",
        f'sum by (pod) (increase(kube_pod_container_status_restarts_total{{namespace="{namespace}"}}[30m])) > 3',
    )  # fmt: skip
    yield Alert(
        "AgentJobFailed", "page", "0s",
        "Job {{ $labels.job_name }} failed: the rollout that waits for it does not go on.",
        f'max by (job_name) (kube_job_failed{{namespace="{namespace}",condition="true"}}) > 0',
    )  # fmt: skip
    canary = 'max by (name) (rollout_info{phase=~"%s"}) > 0'
    yield Alert(
        "AgentCanaryAborted", "ticket", "1m",
        "The canary of {{ $labels.name }} was taken back: the old version serves, the stack's image is the new one.",
        canary % "Abort|Error|InvalidSpec|Timeout",
    )  # fmt: skip
    yield Alert(
        "AgentCanaryWaits", "ticket", "20m",  # longer than its pauses together
        "The canary of {{ $labels.name }} waits for a person: too few requests to judge it by.",
        canary % "Paused",
    )  # fmt: skip
    yield Alert(
        "PgBouncerClientsWait", "page", "5m",
        "Clients of PgBouncer wait for a server connection for more than a second.",
        "max(pgbouncer_pools_client_maxwait_seconds) > 1",
    )  # fmt: skip


def _scaling(namespace: str) -> Iterator[Alert]:
    def hpa(metric: str, matchers: str = "") -> str:
        series = f'kube_horizontalpodautoscaler_{metric}{{namespace="{namespace}"{matchers}}}'
        return f"max by (horizontalpodautoscaler) ({series})"

    yield Alert(
        "HpaAtMaximum", "ticket", "15m",
        "{{ $labels.horizontalpodautoscaler }} has all the replicas it may have.",
        f"{hpa('status_current_replicas')} >= {hpa('spec_max_replicas')}",
    )  # fmt: skip
    yield Alert(
        "HpaNotActing", "ticket", "10m",
        "{{ $labels.horizontalpodautoscaler }} lacks a metric or its target: it may scale up, but never down.",
        hpa("status_condition", ',condition=~"ScalingActive|AbleToScale",status="false"') + " > 0",
    )  # fmt: skip
    yield Alert(
        "PodsUnschedulable", "page", "10m",
        "Pods of the service find no node.",
        f'sum(kube_pod_status_unschedulable{{namespace="{namespace}"}}) > 0',
    )  # fmt: skip
    yield Alert(
        "NodePoolAtLimit", "ticket", "15m",
        "Node pool {{ $labels.nodepool }} has used nine tenths of its nodes.",
        'max by (nodepool) (karpenter_nodepools_usage{resource_type="nodes"})'
        ' / max by (nodepool) (karpenter_nodepools_limit{resource_type="nodes"}) > 0.9',
    )  # fmt: skip
    yield Alert(
        "SpotInterruptionsMany", "ticket", "0s",
        "{{ $value | humanize }} Spot interruption notices in a quarter of an hour.",
        'sum(increase(karpenter_interruption_received_messages_total{message_type="spot_interrupted"}[15m])) > 5',
    )  # fmt: skip


def _platform() -> Iterator[Alert]:
    yield Alert(
        "NodeNotReady", "ticket", "15m",
        "Node {{ $labels.node }} is not ready.",
        'max by (node) (kube_node_status_condition{condition="Ready",status="true"}) == 0',
    )  # fmt: skip
    yield Alert(
        "TargetDown", "ticket", "15m",
        "A tenth of the targets of {{ $labels.job }} cannot be scraped.",
        "1 - avg by (job) (up) > 0.1",
    )  # fmt: skip
    yield Alert(
        "VolumeFills", "ticket", "15m",
        "Volume {{ $labels.persistentvolumeclaim }} has less than a tenth left.",
        "min by (namespace, persistentvolumeclaim)"
        " (kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes) < 0.1",
    )  # fmt: skip
    yield Alert(
        "NodeCertificateExpires", "ticket", "1h",
        "The kubelet's certificate on {{ $labels.node }} ends within a week and was not renewed.",
        "min by (node) (kubelet_certificate_manager_server_ttl_seconds) < 7 * 24 * 3600",
    )  # fmt: skip
    yield Alert(
        "AlertsNotSent", "page", "5m",
        "Alertmanager cannot hand over its messages ({{ $labels.integration }}).",
        "sum by (integration) (rate(alertmanager_notifications_failed_total[5m])) > 0",
    )  # fmt: skip
    # Prometheus's exporter appends _total to counters' names or not, as the collector's version has it.
    lost = [f"sum(rate(otelcol_exporter_send_failed_spans{suffix}[10m])) > 0" for suffix in ("_total", "")]
    yield Alert(
        "TracesNotSent", "ticket", "15m",
        "X-Ray does not take the service's traces: what happens now cannot be looked up later.",
        " or ".join(lost),
    )  # fmt: skip
    yield Alert(
        "RulesFail", "ticket", "10m",
        "Prometheus cannot evaluate a rule of {{ $labels.rule_group }}.",
        "sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total[5m])) > 0",
    )  # fmt: skip
    yield Alert(
        WATCHDOG, "none", "0s",
        "Always fires. A CloudWatch alarm rings when it stops arriving: then nothing here can ring.",
        "vector(1)",
    )  # fmt: skip
