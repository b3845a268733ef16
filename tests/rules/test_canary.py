"""What the canary's analysis sees in made-up traffic: a bad canary fails, a quiet one is inconclusive, a good one passes."""

from __future__ import annotations

from typing import Any

import pytest

from infra.kubernetes.slo import CANARY_LABEL, CanaryGate, canary_gates
from tests.rules.conftest import Tool
from tests.rules.test_alerts import Write

pytestmark = pytest.mark.rules

CANARY, STABLE = "6f7c9d", "5b8d77"
GATES = {gate.name: gate for gate in canary_gates(CANARY)}
Counts = dict[str, str]  # what is counted → values, a sample each 15 s


def pods(hash_: str, counts: Counts) -> list[dict[str, str]]:
    metrics = {
        "good": 'agent_http_requests_total{%s,route_class="interactive",code="200"}',
        "failed": 'agent_http_requests_total{%s,route_class="interactive",code="503"}',
        "probes": 'agent_http_requests_total{%s,route_class="operations",code="503"}',
        "fast": 'agent_http_request_duration_seconds_bucket{%s,route_class="interactive",le="2.0"}',
        "timed": 'agent_http_request_duration_seconds_count{%s,route_class="interactive"}',
    }
    label = f'{CANARY_LABEL}="{hash_}"'
    return [{"series": metrics[name] % label, "values": values} for name, values in counts.items()]


def measured(gate: CanaryGate, canary: Counts, stable: Counts, comparison: str | None) -> dict[str, Any]:
    """Expects one result on the given side of the limit, or none at all."""
    query = f"({gate.query})" if comparison is None else f"({gate.query}) {comparison} bool {gate.limit}"
    return {
        "name": f"{gate.name} {comparison}",
        "interval": "15s",
        "input_series": [*pods(CANARY, canary), *pods(STABLE, stable)],
        "promql_expr_test": [
            {
                "expr": query,
                "eval_time": "4m",
                "exp_samples": [] if comparison is None else [{"labels": "{}", "value": 1}],
            }
        ],
    }


GOOD = {"good": "0+10x20", "failed": "0x20", "probes": "0+9x20", "fast": "0+10x20", "timed": "0+10x20"}
FAILING = {**GOOD, "good": "0+9x20", "failed": "0+1x20"}
SLOW = {**GOOD, "fast": "0+7x20"}
QUIET = {"good": "0+1x20", "failed": "0+1x20", "fast": "0x20", "timed": "0+2x20"}  # bad, but 16 requests in 2 minutes
SILENT: Counts = {}


@pytest.mark.parametrize(
    ("gate", "canary", "stable", "comparison"),
    [
        ("failed", GOOD, FAILING, "<="),  # the old version's failures are not the canary's
        ("failed", {"good": GOOD["good"]}, GOOD, "<="),  # no failure ever: a zero, not nothing
        ("failed", FAILING, GOOD, ">"),
        ("failed", QUIET, GOOD, None),
        ("failed", SILENT, GOOD, None),
        ("slow", GOOD, SLOW, "<="),
        ("slow", SLOW, GOOD, ">"),
        ("slow", QUIET, GOOD, None),
        ("slow", SILENT, GOOD, None),
    ],
)
def test_a_gate_judges_the_canary_by_its_own_traffic(
    promtool: Tool, write: Write, gate: str, canary: Counts, stable: Counts, comparison: str | None
) -> None:
    test = measured(GATES[gate], canary, stable, comparison)
    answer = promtool("test", "rules", write("tests.json", {"evaluation_interval": "15s", "tests": [test]}))
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_too_little_traffic_is_neither_success_nor_failure() -> None:
    for gate in GATES.values():
        assert gate.success_condition == f"len(result) > 0 && result[0] <= {gate.limit}"
        assert gate.failure_condition == f"len(result) > 0 && result[0] > {gate.limit}"
