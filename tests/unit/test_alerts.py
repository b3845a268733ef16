"""Alerts as data: each has its page, its history, and words that its expression can fill in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.kubernetes.alerts import RUNBOOKS, Alert, alerts, rule_groups
from tests.environments import graph_of
from tests.rules.alert_cases import CASES

ROOT = Path(__file__).resolve().parents[2]
ALERTS = alerts("agent")
PAGES = {path.stem: path.read_text() for path in (ROOT / RUNBOOKS).glob("*.md")}


def test_every_alert_has_a_history_a_page_and_an_annotation_that_leads_there() -> None:
    names = [alert.name for alert in ALERTS]
    assert sorted(names) == sorted(set(names)) == sorted(CASES) == sorted(PAGES)
    rules = [rule for group in rule_groups("agent") for rule in group["rules"] if "alert" in rule]
    for rule in rules:
        assert (ROOT / rule["annotations"]["runbook"]).is_file(), rule["alert"]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_says_what_it_means_how_to_look_and_what_to_do_on_one_screen(name: str) -> None:
    text = PAGES[name]
    assert text.startswith(f"# {name}\n")
    for part in ("**What it means.**", "**Look**\n\n- ", "**Do**\n\n1. "):
        assert part in text
    assert text.count("\n") <= 40
    for link in re.findall(r"\]\((\w+)\.md\)", text):
        assert link in PAGES, link


def test_every_alarm_of_cloudwatch_is_in_the_page_on_them() -> None:
    page = set(re.findall(r"`([a-z-]+)`", (ROOT / "docs/operations/alarms.md").read_text()))
    rows = graph_of("prod", preview=False).of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    names = {re.sub(r"^agents-prod-|-\d{3}$", "", row.inputs["name"]) for row in rows}
    assert names <= page


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_the_summary_names_only_labels_that_the_expression_keeps(alert: Alert) -> None:
    kept = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", alert.expression) for label in labels.split(",")}
    assert set(re.findall(r"\$labels\.(\w+)", alert.summary)) <= kept


def test_a_page_rings_for_what_users_feel_or_what_hides_it_and_holds_for_some_minutes() -> None:
    for alert in ALERTS:
        if alert.severity == "page" and alert.name != "AgentJobFailed":  # a failed Job does not recover by itself
            assert re.fullmatch(r"[1-9]\d*m", alert.hold), alert.name
