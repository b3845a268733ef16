"""The policy pack under the real engine: what it blocks, what it mends, and that it judges as the checks in process do."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from policies.catalogue import all_checks
from policies.check import Status
from policies.command import assess
from policies.configuration import NOT_EVALUATED, choices
from policies.evaluate import evaluate
from policies.export import graph_of_export
from policies.waivers import read_waivers, waived
from stacks.embedded.engine import export
from stacks.graph import Graph
from tests.engine.running import Outcome, cloud_of
from tests.engine.standing import ADVISORY, Standing, environment, with_pack
from tests.environments import graph_of

pytestmark = [pytest.mark.engine, pytest.mark.timeout(580)]
GROUP = "aws:cloudwatch/logGroup:LogGroup"


def written(folder: Path, **levels: Any) -> Path:
    """A configuration of the pack."""
    file = folder / "config.json"
    file.write_text(json.dumps({**ADVISORY, **levels}))
    return file


def group(**inputs: Any) -> dict[str, Any]:
    return {"type": GROUP, "name": "group", "inputs": {"name": "group", **inputs}}


def test_a_mandatory_violation_ends_an_up_before_anything_is_made(tmp_path: Path, pulumi: Path) -> None:
    config = written(tmp_path, **{"logs-retention": "mandatory"})
    cloud = cloud_of(tmp_path, pulumi, group(retentionInDays=3650))
    outcome = cloud.command(*with_pack("up", "--yes", config=config))
    assert outcome.code != 0
    assert cloud.store.all() == []
    assert "[mandatory] [severity: medium]  logs-retention" in outcome.text
    assert "retentionInDays=3650 is not within 30 and 400" in outcome.text
    told = outcome.text.count("Set retentionInDays within the bounds.")
    assert told == outcome.text.count("retentionInDays=3650 is not within")


def test_what_could_not_be_evaluated_ends_a_preview_when_the_check_is_listed(tmp_path: Path, pulumi: Path) -> None:
    unknown = [
        {"type": "aws:ec2/vpc:Vpc", "name": "vpc", "inputs": {"cidrBlock": "10.0.0.0/16"}},
        group(retentionInDays={"from": "vpc.id"}),
    ]
    cloud = cloud_of(tmp_path, pulumi, *unknown)
    for level, ends in (("advisory", False), ("mandatory", True)):
        listed = {NOT_EVALUATED: {"enforcementLevel": level, "checks": ["logs-retention"]}}
        outcome = cloud.command(*with_pack("preview", config=written(tmp_path, **listed)))
        assert "logs-retention: retentionInDays is not known yet" in outcome.text
        assert (outcome.code != 0) is ends


def test_dev_mends_tags_and_how_long_logs_are_kept_and_the_diff_shows_it(tmp_path: Path, pulumi: Path) -> None:
    config = written(tmp_path, **{"logs-retention": "remediate", "tags-required": "remediate"})
    cloud = cloud_of(tmp_path, pulumi, group(retentionInDays=3650))
    for command in (("preview",), ("up", "--yes", "--skip-preview")):
        assert cloud.store.all() == []
        outcome = cloud.command(*with_pack(*command, "--diff", config=config))
        assert outcome.code == 0, outcome.text
        assert "3650 => 400" in " ".join(outcome.text.split())
    [stored] = cloud.store.all()
    assert stored.inputs["retentionInDays"] == 400
    assert "unset" in json.dumps(cloud.resources()["aws"]["inputs"])


@dataclass
class Said:
    """What the pack said of a command: the pairs of check and resource that failed or could not be evaluated."""

    failed: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    unseen: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])


def said(outcome: Outcome) -> Said:
    found = Said()
    for event in outcome.events:
        policy = event.get("policyEvent")
        if policy and policy["policyName"] == NOT_EVALUATED:
            check = next(c.id for c in all_checks() if f"{c.id}: " in policy["message"])
            found.unseen.add((check, policy["resourceUrn"]))
        elif policy:
            found.failed.add((policy["policyName"], policy["resourceUrn"]))
    return found


def of_graph(graph: Graph, config: dict[str, Any]) -> Said:
    """The same of the checks in process, with the same levels."""
    checks = all_checks()
    today = datetime.now(UTC).date()
    verdicts = waived(evaluate(checks, graph, choices(config, checks, "config"), today), read_waivers(today))
    return Said(
        {(v.check.id, v.urn) for v in verdicts if v.status is Status.FAIL},
        {(v.check.id, v.urn) for v in verdicts if v.status is Status.NOT_EVALUATED},
    )


def test_engine_capture_and_export_give_equal_verdicts_where_they_know_the_same(
    dev: Standing, tmp_path: Path, pulumi: Path
) -> None:
    previewed, captured = said(dev.planned), of_graph(graph_of("dev"), ADVISORY)
    assert previewed.failed <= captured.failed
    # A capture knows the namespace's name, the engine not before there is a cluster.
    assert captured.failed - previewed.failed <= previewed.unseen
    assert captured.unseen <= previewed.unseen
    # Before there is a cluster the engine knows no output of Kubernetes; a capture takes the inputs for it.
    assert {urn for _, urn in previewed.unseen - captured.unseen if "kubernetes:" not in urn.split("::")[2]} == set()
    made = of_graph(graph_of("dev", preview=False), ADVISORY)
    assert said(dev.made).failed == made.failed
    state = export(dev.copy(tmp_path / "dev", pulumi).workspace)
    exported = of_graph(graph_of_export(state, "export"), ADVISORY)
    assert exported == made
    assert len(captured.failed) > 10


def test_the_pack_with_devs_own_levels_lets_dev_through(tmp_path: Path, pulumi: Path) -> None:
    outcome = environment(tmp_path, pulumi, "dev").command(*with_pack("preview"))
    assert outcome.code == 0, outcome.text
    assert not assess(graph_of("dev"), "dev", datetime.now(UTC).date()).blocks
