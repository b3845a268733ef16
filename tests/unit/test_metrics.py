"""Metrics: their names, what they say before anything happened, and labels that cannot grow without end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app import contract
from app.observability.labels import OTHER, Bounded
from app.observability.metrics import HANDED_OVER, LEASE_EXPIRED, PRIORITIES, RUN_ENDS, Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def exposed(metrics: Metrics) -> dict[str, list[dict[str, str]]]:
    """Sample names as Prometheus would read them, with their labels."""
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def test_two_services_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.claims.inc()
    assert value(one, contract.METRIC_RUN_CLAIMS) == 1
    assert value(other, contract.METRIC_RUN_CLAIMS) == 0


@pytest.mark.parametrize("status", RUN_ENDS)
def test_every_end_of_a_run_is_zero_before_the_first_run(status: str) -> None:
    metrics = Metrics()
    assert value(metrics, contract.METRIC_RUNS, status=status) == 0
    assert value(metrics, contract.METRIC_RUN_DURATION + "_count", status=status) == 0


def test_what_alerts_divide_or_compare_is_there_from_the_first_scrape() -> None:
    metrics = Metrics()
    for reason in (LEASE_EXPIRED, HANDED_OVER):
        assert value(metrics, contract.METRIC_RUN_RESUMED, reason=reason) == 0
    for name in (contract.METRIC_LEASE_LOSSES, contract.METRIC_DRAINS, contract.METRIC_DEAD_LETTERS):
        assert value(metrics, name) == 0
    for priority in PRIORITIES:
        assert value(metrics, contract.METRIC_QUEUE_DEPTH, priority=priority) == 0
        assert value(metrics, contract.METRIC_QUEUE_OLDEST, priority=priority) == 0


def test_the_latency_objective_can_be_read_from_requests_and_first_events() -> None:
    found = exposed(Metrics())
    for name in (contract.METRIC_HTTP_DURATION, contract.METRIC_TIME_TO_FIRST_EVENT):
        assert any(labels["le"] == "2.0" for labels in found[name + "_bucket"]), name


def test_a_priority_without_waiting_runs_goes_back_to_zero() -> None:
    metrics = Metrics()
    metrics.queue({"high": 3, "low": 40}, {"high": 0.5, "low": 61.0})
    assert value(metrics, contract.METRIC_QUEUE_DEPTH, priority="low") == 40
    assert value(metrics, contract.METRIC_QUEUE_OLDEST, priority="low") == 61
    metrics.queue({"high": 1}, {"high": 0.1})
    assert value(metrics, contract.METRIC_QUEUE_DEPTH, priority="high") == 1
    assert value(metrics, contract.METRIC_QUEUE_DEPTH, priority="low") == 0
    assert value(metrics, contract.METRIC_QUEUE_OLDEST, priority="low") == 0


def test_the_pools_numbers_are_those_of_the_moment_of_the_scrape() -> None:
    metrics = Metrics()
    stats = {"pool_size": 10, "pool_available": 10}
    metrics.watch_pool(lambda: stats)
    assert value(metrics, contract.METRIC_POOL_USED) == 0
    stats |= {"pool_available": 3, "requests_waiting": 2}
    assert value(metrics, contract.METRIC_POOL_SIZE) == 10
    assert value(metrics, contract.METRIC_POOL_USED) == 7
    assert value(metrics, contract.METRIC_POOL_WAITING) == 2


@pytest.mark.parametrize(("name", "text"), [(n, v) for n, v in vars(contract).items() if n.startswith("METRIC_")])
def test_a_name_follows_prometheus_conventions(name: str, text: str) -> None:
    kinds = {metric.name: metric.type for metric in Metrics().registry.collect()}
    kind = kinds[text.removesuffix("_total")]
    assert text.startswith("agent_"), name
    assert text.endswith("_total") == (kind == "counter"), name
    if kind == "histogram":
        assert text.endswith("_seconds"), name


def test_no_metric_has_a_label_for_a_thread_a_run_or_a_user() -> None:
    metrics = Metrics()
    metrics.node_duration.labels("graph", "node").observe(1)
    metrics.node_errors.labels("graph", "node", "ValueError").inc()
    metrics.llm_requests.labels("provider", "success").inc()
    metrics.llm_tokens.labels("provider", "model", "input").inc()
    metrics.signals_degraded.labels("notify").set(1)
    names = {name for samples in exposed(metrics).values() for labels in samples for name in labels}
    python = {"implementation", "major", "minor", "patchlevel", "version"}
    ours = {"route_class", "code", "status", "reason", "priority", "graph", "node", "type"}
    assert names == {"le", *python, *ours, "provider", "outcome", "model", "direction", "path"}


@given(st.lists(st.text(max_size=3)), st.integers(0, 5))
def test_bounded_labels_keep_what_they_know_and_fold_the_rest(values: list[str], most: int) -> None:
    bounded = Bounded(most)
    given_out = [bounded(value) for value in values]
    assert len(set(given_out) - {OTHER}) <= most
    first = list(dict.fromkeys(values))[:most]
    assert all(out == value if value in first else out == OTHER for value, out in zip(values, given_out, strict=True))
