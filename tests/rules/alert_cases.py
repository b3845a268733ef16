"""For every alert a made-up minute-by-minute history that fires it and one that looks bad and must not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Series: TypeAlias = dict[str, str]  # series → values in promtool's notation

NAMESPACE = "agent"


@dataclass(frozen=True)
class Case:
    fires: Series
    silent: Series | None  # None: it must never be silent
    at: str = "30m"  # when both are looked at


def requests(failed: str, every: str) -> Series:
    return {
        'agent_http_requests_total{pod="a",route_class="interactive",code="500"}': failed,
        'agent_http_requests_total{pod="a",route_class="interactive",code="200"}': every,
        # Probes of a pod that is not ready: no failure of the service.
        'agent_http_requests_total{pod="b",route_class="operations",code="503"}': "0+500x600",
    }


def durations(fast: str, every: str) -> Series:
    labels = 'pod="a",route_class="interactive"'
    return {
        f'agent_http_request_duration_seconds_bucket{{{labels},le="2.0"}}': fast,
        f"agent_http_request_duration_seconds_count{{{labels}}}": every,
        # A stream lasts as long as its run.
        'agent_http_request_duration_seconds_bucket{pod="a",route_class="stream",le="2.0"}': "0x600",
        'agent_http_request_duration_seconds_count{pod="a",route_class="stream"}': "0+100x600",
    }


def first_events(fast: str, every: str) -> Series:
    return {'agent_ttft_seconds_bucket{pod="a",le="2.0"}': fast, 'agent_ttft_seconds_count{pod="a"}': every}


def hpa(current: int, *, acting: bool = True, minutes: int = 60) -> Series:
    labels = f'namespace="{NAMESPACE}",horizontalpodautoscaler="agent"'
    return {
        f"kube_horizontalpodautoscaler_status_current_replicas{{{labels}}}": f"{current}x{minutes}",
        f"kube_horizontalpodautoscaler_spec_max_replicas{{{labels}}}": f"6x{minutes}",
        f'kube_horizontalpodautoscaler_status_condition{{{labels},condition="ScalingActive",status="false"}}': f"{int(not acting)}x{minutes}",
        f'kube_horizontalpodautoscaler_status_condition{{{labels},condition="ScalingLimited",status="false"}}': f"1x{minutes}",
    }


def rollout(before: str, then: str, minutes: int = 5) -> Series:
    """A phase is a series of its own, which ends with it."""
    labels = 'namespace="argo-rollouts",exported_namespace="agent",name="agent-api"'
    return {
        f'rollout_info{{{labels},phase="{before}"}}': f"1x{minutes} stale",
        f'rollout_info{{{labels},phase="{then}"}}': f"_x{minutes} 1x60",
    }


def pool_waits(within_half_a_second: str) -> Series:
    bounds = {"0.025": "0+10x60", "0.5": within_half_a_second, "2.0": "0+100x60", "+Inf": "0+100x60"}
    return {f'agent_pool_wait_seconds_bucket{{pod="a",le="{bound}"}}': values for bound, values in bounds.items()}


CASES = {
    # 2 % of the requests fail: 20 times what the month's budget allows.
    "AgentAvailabilityBudgetFast": Case(requests("0+20x120", "0+980x120"), requests("0+0.5x120", "0+999.5x120"), "70m"),
    # 0.4 %: silent for a page (which 0.6 % over six hours is), a ticket for the morning.
    "AgentAvailabilityBudgetSlow": Case(requests("0+4x150", "0+996x150"), requests("0+0.9x150", "0+999.1x150"), "140m"),
    "AgentLatencyBudgetFast": Case(durations("0+17x120", "0+100x120"), durations("0+80x120", "0+100x120"), "70m"),
    "AgentLatencyBudgetSlow": Case(durations("0+80x150", "0+100x150"), durations("0+96x150", "0+100x150"), "140m"),
    "AgentFirstEventBudgetFast": Case(first_events("0+17x120", "0+100x120"), first_events("0+80x120", "0+100x120"), "70m"),
    "AgentFirstEventBudgetSlow": Case(first_events("0+80x150", "0+100x150"), first_events("0+96x150", "0+100x150"), "140m"),
    "AgentMetricsAbsent": Case({"up": "1x60"}, requests("0x60", "0x60")),
    # Two processes tell the same queue.
    "AgentQueueWaits": Case(
        {'agent_queue_oldest_age_seconds{pod="a",priority="high"}': "0+10x60"},
        {
            'agent_queue_oldest_age_seconds{pod="a",priority="high"}': "40x60",
            'agent_queue_oldest_age_seconds{pod="b",priority="high"}': "40x60",
            'agent_queue_oldest_age_seconds{pod="a",priority="low"}': "300x60",
        },
    ),
    "AgentLowPriorityStarves": Case(
        {'agent_queue_oldest_age_seconds{pod="a",priority="low"}': "1000x60"},
        {'agent_queue_oldest_age_seconds{pod="a",priority="low"}': "800x60"},
    ),
    "AgentRunsDeadLettered": Case(
        {'agent_run_dead_letters_total{pod="a"}': "0x20 1x20"},
        {'agent_run_dead_letters_total{pod="a"}': "1x60"},  # long ago
    ),
    "AgentLeasesLost": Case(
        {'agent_lease_losses_total{pod="a"}': "0+1x60"},
        {'agent_lease_losses_total{pod="a"}': "0x20 1x40"},
    ),
    "AgentPoolWaits": Case(pool_waits("0+90x60"), pool_waits("0+99x60")),
    "AgentSignalsDegraded": Case(
        {'agent_signals_degraded{pod="a",path="valkey"}': "1x60"},
        {'agent_signals_degraded{pod="a",path="valkey"}': "0x20 1x5 0x35"},
    ),
    "AgentModelProviderFails": Case(
        {
            'agent_llm_requests_total{provider="bedrock",outcome="timeout"}': "0+3x60",
            'agent_llm_requests_total{provider="bedrock",outcome="success"}': "0+7x60",
        },
        {
            'agent_llm_requests_total{provider="bedrock",outcome="error"}': "0+1x60",
            'agent_llm_requests_total{provider="bedrock",outcome="success"}': "0+9x60",
        },
    ),
    "AgentPodsRestart": Case(
        {f'kube_pod_container_status_restarts_total{{namespace="{NAMESPACE}",pod="a",container="agent"}}': "0+1x60"},
        {'kube_pod_container_status_restarts_total{namespace="other",pod="a",container="agent"}': "0+1x60"},
    ),
    "AgentJobFailed": Case(
        {f'kube_job_failed{{namespace="{NAMESPACE}",job_name="migrate",condition="true"}}': "1x60"},
        {
            f'kube_job_failed{{namespace="{NAMESPACE}",job_name="migrate",condition="false"}}': "1x60",
            f'kube_job_failed{{namespace="{NAMESPACE}",job_name="migrate",condition="true"}}': "0x60",
        },
    ),
    "AgentCanaryAborted": Case(rollout("Progressing", "Abort"), rollout("Paused", "Completed")),
    # Its three pauses, five minutes each, whose ends no scrape saw.
    "AgentCanaryWaits": Case(rollout("Progressing", "Paused"), rollout("Paused", "Completed", 16)),
    "PgBouncerClientsWait": Case(
        {'pgbouncer_pools_client_maxwait_seconds{pod="a",database="agent"}': "2x60"},
        {'pgbouncer_pools_client_maxwait_seconds{pod="a",database="agent"}': "0x20 5x3 0x37"},
    ),
    "HpaAtMaximum": Case(hpa(6), hpa(5)),
    "HpaNotActing": Case(hpa(2, acting=False), hpa(2)),
    "PodsUnschedulable": Case(
        {f'kube_pod_status_unschedulable{{namespace="{NAMESPACE}",pod="a"}}': "1x60"},
        {f'kube_pod_status_unschedulable{{namespace="{NAMESPACE}",pod="a"}}': "0x20 1x5 0x35"},  # a node was started
    ),
    "NodePoolAtLimit": Case(
        {
            'karpenter_nodepools_usage{nodepool="spot",resource_type="nodes"}': "17x60",
            'karpenter_nodepools_limit{nodepool="spot",resource_type="nodes"}': "18x60",
        },
        {
            'karpenter_nodepools_usage{nodepool="spot",resource_type="nodes"}': "12x60",
            'karpenter_nodepools_limit{nodepool="spot",resource_type="nodes"}': "18x60",
            'karpenter_nodepools_usage{nodepool="spot",resource_type="cpu"}': "99x60",
            'karpenter_nodepools_limit{nodepool="spot",resource_type="cpu"}': "100x60",
        },
    ),
    "SpotInterruptionsMany": Case(
        {'karpenter_interruption_received_messages_total{message_type="spot_interrupted"}': "0+1x60"},
        {
            'karpenter_interruption_received_messages_total{message_type="spot_interrupted"}': "0x20 1x40",
            'karpenter_interruption_received_messages_total{message_type="rebalance_recommendation"}': "0+9x60",
        },
    ),
    "NodeNotReady": Case(
        {'kube_node_status_condition{node="n",condition="Ready",status="true"}': "0x60"},
        {
            'kube_node_status_condition{node="n",condition="Ready",status="true"}': "1x60",
            'kube_node_status_condition{node="n",condition="MemoryPressure",status="true"}': "0x60",
        },
    ),
    "TargetDown": Case(
        {'up{job="karpenter",instance="a"}': "0x60", 'up{job="karpenter",instance="b"}': "1x60"},
        {'up{job="karpenter",instance="a"}': "1x60", 'up{job="karpenter",instance="b"}': "0x5 1x55"},
    ),
    "VolumeFills": Case(
        {
            'kubelet_volume_stats_available_bytes{namespace="monitoring",persistentvolumeclaim="p"}': "5x60",
            'kubelet_volume_stats_capacity_bytes{namespace="monitoring",persistentvolumeclaim="p"}': "100x60",
        },
        {
            'kubelet_volume_stats_available_bytes{namespace="monitoring",persistentvolumeclaim="p"}': "20x60",
            'kubelet_volume_stats_capacity_bytes{namespace="monitoring",persistentvolumeclaim="p"}': "100x60",
        },
    ),
    "NodeCertificateExpires": Case(
        {'kubelet_certificate_manager_server_ttl_seconds{node="n"}': "500000-60x180"},
        {'kubelet_certificate_manager_server_ttl_seconds{node="n"}': "30000000-60x180"},
        "2h",
    ),
    "AlertsNotSent": Case(
        {'alertmanager_notifications_failed_total{integration="sns",pod="a"}': "0+1x60"},
        {'alertmanager_notifications_failed_total{integration="sns",pod="a"}': "0x10 1x50"},
    ),
    "TracesNotSent": Case(
        {'otelcol_exporter_send_failed_spans_total{exporter="awsxray",pod="a"}': "0+9x60"},
        {'otelcol_exporter_send_failed_spans_total{exporter="awsxray",pod="a"}': "0x10 9x50"},
    ),
    "RulesFail": Case(
        {'prometheus_rule_evaluation_failures_total{rule_group="slo"}': "0+1x60"},
        {'prometheus_rule_evaluation_failures_total{rule_group="slo"}': "3x60"},
    ),
    "Watchdog": Case({}, None),
}  # fmt: skip
