"""Where each alert goes, asked of amtool; what inhibits what, by the matchers it accepted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from infra.kubernetes.alertmanager import configuration
from infra.kubernetes.alerts import Alert, alerts
from tests.rules.conftest import Tool
from tests.rules.test_alerts import Write

TOPIC = "arn:aws:sns:us-east-1:123456789012:agents-prod-alerts"
CONFIGURATION = configuration("prod", "us-east-1", TOPIC, TOPIC.replace("alerts", "heartbeat"))
ALERTS = {alert.name: alert for alert in alerts("agent")}


@pytest.fixture
def path(write: Write) -> Path:
    return write("alertmanager.json", CONFIGURATION)


def labels(alert: Alert) -> dict[str, str]:
    return {"alertname": alert.name, "severity": alert.severity, **alert.labels}


def inhibited_by(alert: Alert, others: list[Alert]) -> set[str]:
    """Alertmanager's rule: a source fires, the target matches, both agree on the labels of `equal` (absent is empty)."""

    def holds(matchers: list[str], subject: Alert) -> bool:
        for matcher in matchers:
            name, operator, value = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher).groups()  # type: ignore[union-attr] - amtool accepted it
            has = labels(subject).get(name, "")
            matched = bool(re.fullmatch(value, has)) if "~" in operator else has == value
            if matched is operator.startswith("!"):
                return False
        return True

    return {
        other.name
        for rule in CONFIGURATION["inhibit_rules"]
        for other in others
        if other is not alert and holds(rule["source_matchers"], other) and holds(rule["target_matchers"], alert)
        if all(labels(other).get(name, "") == labels(alert).get(name, "") for name in rule.get("equal", []))
    }


@pytest.mark.rules
def test_amtool_accepts_the_configuration(amtool: Tool, path: Path) -> None:
    answer = amtool("check-config", path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "2 inhibit rules" in answer.stdout
    assert "2 receivers" in answer.stdout


@pytest.mark.rules
@pytest.mark.parametrize("name", sorted(ALERTS))
def test_pages_and_tickets_reach_people_and_the_watchdog_its_own_topic(amtool: Tool, path: Path, name: str) -> None:
    given = [f"{label}={value}" for label, value in labels(ALERTS[name]).items()]
    receiver = "heartbeat" if name == "Watchdog" else "people"
    answer = amtool("config", "routes", "test", f"--config.file={path}", f"--verify.receivers={receiver}", *given)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_page_is_said_sooner_and_again_sooner_than_a_ticket() -> None:
    ticket = CONFIGURATION["route"]
    watchdog, page = ticket["routes"]
    assert page["matchers"] == ['severity="page"']
    assert (page["group_wait"], page["repeat_interval"]) == ("30s", "1h")
    assert (ticket["group_wait"], ticket["repeat_interval"]) == ("5m", "24h")
    # The alarm on the heartbeat's silence looks back fifteen minutes.
    assert watchdog["repeat_interval"] == "5m"


def test_a_budget_that_burns_fast_silences_its_own_ticket_and_no_other() -> None:
    everything = list(ALERTS.values())
    assert inhibited_by(ALERTS["AgentLatencyBudgetSlow"], everything) == {"AgentLatencyBudgetFast"}
    assert inhibited_by(ALERTS["AgentLatencyBudgetSlow"], [ALERTS["AgentAvailabilityBudgetFast"]]) == set()


def test_without_the_services_metrics_the_autoscaler_and_the_targets_are_not_rung_for_as_well() -> None:
    everything = list(ALERTS.values())
    silenced = {name for name, alert in ALERTS.items() if "AgentMetricsAbsent" in inhibited_by(alert, everything)}
    assert silenced == {"HpaNotActing", "TargetDown"}


def test_no_page_is_ever_inhibited() -> None:
    everything = list(ALERTS.values())
    assert not any(inhibited_by(alert, everything) for alert in everything if alert.severity == "page")


def test_a_message_carries_the_runbook_and_a_severity_that_subscriptions_can_filter_by() -> None:
    people: dict[str, Any] = CONFIGURATION["receivers"][0]["sns_configs"][0]
    assert "{{ .Annotations.runbook }}" in people["message"]
    assert "severity" in people["attributes"]
    assert "credential" not in str(CONFIGURATION)
    assert "secret" not in str(CONFIGURATION)
