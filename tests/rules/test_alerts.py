"""The rules, judged by promtool: every alert fires on its own history and is silent on the one beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.kubernetes.alerts import WATCHDOG, rule_groups
from infra.kubernetes.off_hours import quiet
from tests.rules.alert_cases import CASES, NAMESPACE, Series, hpa
from tests.rules.conftest import Tool

pytestmark = pytest.mark.rules

Write = Callable[[str, Any], Path]
RULES = {"groups": rule_groups(NAMESPACE)}


def history(series: Series, at: str, name: str, *, firing: bool) -> dict[str, Any]:
    """A unit test of promtool: one alert, one history, one look."""
    expression = f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) > bool 0'
    return {
        "name": f"{name} {'fires' if firing else 'is silent'}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": expression,
                "eval_time": at,
                "exp_samples": [{"labels": "{}", "value": 1}] if firing else [],
            }
        ],
    }


def test_promtool_accepts_the_rules(promtool: Tool, write: Write) -> None:
    answer = promtool("check", "rules", "--lint=all", "--lint-fatal", write("rules.json", RULES))
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_alert_fires_on_its_history_and_is_silent_on_the_other(promtool: Tool, write: Write) -> None:
    # The recordings take most of the time, and only the burn rates read them.
    documents = {True: write("all.json", RULES), False: write("alerts.json", {"groups": RULES["groups"][-1:]})}
    paths: list[Path] = []
    for burning, rules in documents.items():
        tests: list[dict[str, Any]] = []
        for name, case in CASES.items():
            if ("Budget" in name) is burning:
                tests.append(history(case.fires, case.at, name, firing=True))
                if case.silent is not None:
                    tests.append(history(case.silent, case.at, name, firing=False))
        document = {"rule_files": [rules.name], "evaluation_interval": "1m", "tests": tests}
        paths.append(write(f"tests-of-{rules.name}", document))
    answer = promtool("test", "rules", *paths)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_with_off_hours_the_service_is_missed_by_day_and_until_it_had_time_to_come_not(
    promtool: Tool, write: Write
) -> None:
    """Off from 20 to 40 minutes: two Deployments of the service, a third that has nothing to say, and no metric."""
    replicas = f'kube_deployment_spec_replicas{{namespace="{NAMESPACE}",deployment="%s"}}'
    night = {replicas % name: "1x19 0x20 1x40" for name in ("agent-api", "agent-workers")} | {
        replicas % "pgbouncer": "3x80"
    }
    missing = {"AgentMetricsAbsent": {"up": "1x80"}, "HpaNotActing": hpa(0, acting=False, minutes=80)}
    looks = [
        history({**series, **night}, at, name, firing=firing)
        for name, series in missing.items()
        for at, firing in (("18m", True), ("36m", False), ("52m", False), ("75m", True))
    ]
    rules = write("rules.json", {"groups": quiet(rule_groups(NAMESPACE), NAMESPACE)[-1:]})
    accepted = promtool("check", "rules", "--lint=all", "--lint-fatal", rules)
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    document = {"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": looks}
    answer = promtool("test", "rules", write("tests.json", document))
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_burst_of_errors_stops_ringing_soon_after_it_ends(promtool: Tool, write: Write) -> None:
    failing = {
        'agent_http_requests_total{route_class="other",code="500"}': "0+50x30 1500x90",
        'agent_http_requests_total{route_class="other",code="200"}': "0+950x120",
    }
    write("rules.json", RULES)
    looks = [
        history(failing, at, "AgentAvailabilityBudgetFast", firing=firing)
        for at, firing in (("25m", True), ("70m", False))
    ]
    document = {"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": looks}
    answer = promtool("test", "rules", write("tests.json", document))
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_only_the_watchdog_always_fires() -> None:
    assert [name for name, case in CASES.items() if case.silent is None] == [WATCHDOG]
