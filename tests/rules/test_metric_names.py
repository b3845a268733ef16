"""Rules, dashboards and canary gates read only metrics that exist, and promtool can read every panel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.kubernetes.alerts import rule_groups
from infra.kubernetes.dashboards import RATE, dashboards
from infra.kubernetes.off_hours import quiet
from infra.kubernetes.slo import canary_gates
from tests.rules.conftest import Tool
from tests.rules.metric_names import OTHERS, RECORDED, ours, used
from tests.rules.test_alerts import Write


def queries() -> Iterator[tuple[str, str]]:
    for group in [*rule_groups("agent"), *quiet(rule_groups("agent"), "agent")]:
        yield from ((rule.get("alert") or rule["record"], rule["expr"]) for rule in group["rules"])
    for board in dashboards():
        yield from (
            (f"{board.uid}: {panel.title}", query) for panel in board.panels for query in panel.queries.values()
        )
    yield from ((gate.name, gate.query) for gate in canary_gates("6f7c9d"))


def test_every_query_reads_only_metrics_that_exist() -> None:
    known = ours() | RECORDED | set(OTHERS)
    unknown = {name: missing for name, query in queries() if (missing := used(query) - known)}
    assert unknown == {}


def test_no_recorded_name_of_others_is_left_over() -> None:
    assert set(OTHERS) == set(OTHERS) & {metric for _, query in queries() for metric in used(query)}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ('sum by (le) (rate(a_bucket{x="b_c"}[5m])) > 0.5', {"a_bucket"}),
        ("vector(1)", set[str]()),
        ("(a and b) or max(c) / on (d) group_left (e) f", {"a", "b", "c", "f"}),
        ("slo:x:rate5m * 1e3 + 7 * 24 * 3600", {"slo:x:rate5m"}),
    ],
)
def test_the_metrics_of_a_query_are_told_from_its_labels_and_functions(query: str, names: set[str]) -> None:
    assert used(query) == names


@pytest.mark.rules
def test_promtool_reads_the_query_of_every_panel(promtool: Tool, write: Write) -> None:
    panels = [query.replace(RATE, "5m") for name, query in queries() if name.startswith("agents-")]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(panels)]
    answer = promtool("check", "rules", write("panels.json", {"groups": [{"name": "panels", "rules": rules}]}))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{len(panels)} rules found" in answer.stdout
