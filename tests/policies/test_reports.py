"""What the reports say of an assessment to machines."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from policies.command import assess
from policies.report.documents import sarif
from stacks.configuration import ROOT
from tests.environments import graph_of
from tests.policies.editing import changed


def test_a_finding_in_sarif_points_at_the_component_that_made_the_resource() -> None:
    graph = graph_of("prod")
    [database] = graph.of_type("aws:rds/instance:Instance")
    graph = changed(graph, database.urn, "multiAz", value=False)
    document: dict[str, Any] = json.loads(sarif(assess(graph, "prod", date(2026, 11, 21))))
    [run] = document["runs"]
    [result] = [result for result in run["results"] if result["ruleId"] == "rds-multi-az"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "infra/aws/database.py"
    lines = Path(ROOT, "infra/aws/database.py").read_text().splitlines()
    assert lines[place["region"]["startLine"] - 1] == "class Database(Component):"


def test_the_reports_of_two_stacks_are_of_two_categories() -> None:
    documents = [json.loads(sarif(assess(graph_of(stack), stack, date(2026, 11, 21)))) for stack in ("dev", "prod")]
    assert [document["runs"][0]["automationDetails"]["id"] for document in documents] == [
        "policies/dev/",
        "policies/prod/",
    ]
