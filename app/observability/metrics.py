"""The service's metrics, under the names `app/contract.py` promises.

A label's values come from code or configuration, never from a request: no thread, run, user or path is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

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
RUN_EDGES = (0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)  # 300 is the default run timeout
NODE_EDGES = (0.001, 0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0)  # few, for every node has them all
WAIT_EDGES = (0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 5.0)  # 5 is the default timeout of the pool

PRIORITIES = ("high", "normal", "low")
RUN_ENDS = ("success", "interrupted", "error", "timeout", "cancelled")
CRON_OUTCOMES = ("fired", "retried", "skipped")
WEBHOOK_OUTCOMES = ("delivered", "retried", "dead")
LEASE_EXPIRED = "lease_expired"
"""Why a run was taken over: its process died or was cut off."""
HANDED_OVER = "handed_over"
"""Why a run was taken over: its process stopped in order and gave it back."""


class Metrics:
    """One set of metrics with a registry of its own, so that two services can live in one process."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each, which nothing reads
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)

        self.http_requests = counter(contract.METRIC_HTTP_REQUESTS, "Requests answered", ("route_class", "code"))
        self.http_duration = histogram(
            contract.METRIC_HTTP_DURATION,
            "Seconds from a request's first byte to its answer's last",
            ("route_class",),
            buckets=DURATION_EDGES,
        )
        self.limits_refused = counter(contract.METRIC_LIMITS_REFUSED, "Requests refused by a limit", ("limit",))
        self.limits_degraded = gauge(
            contract.METRIC_LIMITS_DEGRADED, "1 while each process limits by itself because Valkey is away"
        )
        self.streams_open = gauge(contract.METRIC_STREAMS_OPEN, "Answers that are being streamed")
        self.time_to_first_event = histogram(
            contract.METRIC_TIME_TO_FIRST_EVENT,
            "Seconds from a streaming request to the first event of its graph",
            buckets=DURATION_EDGES,
        )
        self.events_written = counter(contract.METRIC_EVENTS_WRITTEN, "Events of runs stored for streams")

        self.sign_ins_refused = counter(
            contract.METRIC_SIGN_INS_REFUSED, "Requests whose token or API key was refused, by why", ("reason",)
        )
        self.sign_in_keys_age = gauge(
            contract.METRIC_SIGN_IN_KEYS_AGE, "Seconds since the issuer of tokens gave its keys; 0 without an issuer"
        )

        self.active_workflows = gauge(contract.METRIC_ACTIVE_WORKFLOWS, "Runs in progress")
        self.runs = counter(contract.METRIC_RUNS, "Runs by how they ended", ("status",))
        self.run_duration = histogram(
            contract.METRIC_RUN_DURATION,
            "Seconds from a run's start to its end, by how it ended",
            ("status",),
            buckets=RUN_EDGES,
        )
        self.claims = counter(contract.METRIC_RUN_CLAIMS, "Runs this process took from the queue")
        self.resumed = counter(
            contract.METRIC_RUN_RESUMED, "Runs that go on in another claim, by why the earlier one ended", ("reason",)
        )
        self.retries = counter(contract.METRIC_RUN_RETRIES, "Runs put back into the queue after a failure to retry")
        self.dead_letters = counter(contract.METRIC_DEAD_LETTERS, "Runs given up after too many failures")
        self.lease_losses = counter(contract.METRIC_LEASE_LOSSES, "Leases that ended while their run was in progress")
        self.drains = counter(contract.METRIC_DRAINS, "Times this process began to drain")

        self.cron_firings = counter(
            contract.METRIC_CRON_FIRINGS, "Times of crons: fired, retried or skipped", ("outcome",)
        )
        self.webhooks = counter(
            contract.METRIC_WEBHOOKS, "Attempts to deliver a webhook: delivered, retried or dead", ("outcome",)
        )

        self.queue_depth = gauge(contract.METRIC_QUEUE_DEPTH, "Runs that wait for a worker", ("priority",))
        self.queue_oldest = gauge(
            contract.METRIC_QUEUE_OLDEST, "Seconds the longest waiting run has been ready to start", ("priority",)
        )

        self.node_duration = histogram(
            contract.METRIC_NODE_DURATION, "Seconds a graph's node took", ("graph", "node"), buckets=NODE_EDGES
        )
        self.node_errors = counter(
            contract.METRIC_NODE_ERRORS, "Exceptions a graph's node ended with", ("graph", "node", "type")
        )
        self.llm_requests = counter(contract.METRIC_LLM_REQUESTS, "Calls to a model provider", ("provider", "outcome"))
        self.llm_tokens = counter(
            contract.METRIC_LLM_TOKENS, "Tokens sent and received", ("provider", "model", "direction")
        )

        self.pool_wait = histogram(
            contract.METRIC_POOL_WAIT, "Seconds until the pool gave a checked connection", buckets=WAIT_EDGES
        )
        self._pool_size = gauge(contract.METRIC_POOL_SIZE, "Connections of the pool")
        self._pool_used = gauge(contract.METRIC_POOL_USED, "Connections of the pool in use")
        self._pool_waiting = gauge(contract.METRIC_POOL_WAITING, "Callers that wait for a connection")
        self.signals_degraded = gauge(
            contract.METRIC_SIGNALS_DEGRADED, "1 while a way to wake other processes is down", ("path",)
        )
        self._start_at_zero()

    def queue(self, depth: Mapping[str, int], oldest_seconds: Mapping[str, float]) -> None:
        """What the sampler saw; a priority it does not name has nothing waiting."""
        for priority in PRIORITIES:
            self.queue_depth.labels(priority).set(depth.get(priority, 0))
            self.queue_oldest.labels(priority).set(oldest_seconds.get(priority, 0))

    def watch_pool(self, stats: Callable[[], Mapping[str, int]]) -> None:
        """Reads psycopg's own counts at every scrape."""
        self._pool_size.set_function(lambda: stats().get("pool_size", 0))
        self._pool_used.set_function(lambda: (now := stats()).get("pool_size", 0) - now.get("pool_available", 0))
        self._pool_waiting.set_function(lambda: stats().get("requests_waiting", 0))

    def _start_at_zero(self) -> None:
        """An absent series is no zero: alerts on ratios need both sides from the first scrape."""
        for status in RUN_ENDS:
            self.runs.labels(status)
            self.run_duration.labels(status)
        for reason in (LEASE_EXPIRED, HANDED_OVER):
            self.resumed.labels(reason)
        for outcome in CRON_OUTCOMES:
            self.cron_firings.labels(outcome)
        for outcome in WEBHOOK_OUTCOMES:
            self.webhooks.labels(outcome)
        self.queue({}, {})
        self.http_requests.labels(contract.ROUTE_CLASS_INTERACTIVE, "200")
        self.http_duration.labels(contract.ROUTE_CLASS_INTERACTIVE)
