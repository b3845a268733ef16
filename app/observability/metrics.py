"""The service's metrics, under the names `app/contract.py` promises."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from app import contract

# 2.0 is the latency objective's bound and must stay an edge.
DURATION_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """One set of metrics with a registry of its own, so that two services can live in one process."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each, which nothing reads
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.http_requests = Counter(
            contract.METRIC_HTTP_REQUESTS, "Requests answered", ("route_class", "code"), registry=self.registry
        )
        self.http_duration = Histogram(
            contract.METRIC_HTTP_DURATION,
            "Seconds from a request's first byte to its answer's last",
            ("route_class",),
            buckets=DURATION_EDGES,
            registry=self.registry,
        )
        self.active_workflows = Gauge(contract.METRIC_ACTIVE_WORKFLOWS, "Runs in progress", registry=self.registry)
        self.runs = Counter(contract.METRIC_RUNS, "Runs by how they ended", ("status",), registry=self.registry)
        self.llm_requests = Counter(
            contract.METRIC_LLM_REQUESTS, "Calls to a model provider", ("provider", "outcome"), registry=self.registry
        )
        self.llm_tokens = Counter(
            contract.METRIC_LLM_TOKENS, "Tokens sent and received", ("provider", "direction"), registry=self.registry
        )
        # An absent series is no zero: alerts on ratios need both sides from the first scrape.
        for status in ("success", "interrupted", "error", "timeout"):
            self.runs.labels(status)
        self.http_requests.labels(contract.ROUTE_CLASS_INTERACTIVE, "200")
        self.http_duration.labels(contract.ROUTE_CLASS_INTERACTIVE)
