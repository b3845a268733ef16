"""How an environment chooses levels, what is let pass for a while, and what of it is refused."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.catalogue import all_checks
from policies.check import Status
from policies.command import assess
from policies.configuration import choices
from policies.waivers import FILE, read_waivers
from stacks.graph import UNKNOWN
from stacks.terminal import Refused
from tests.environments import graph_of
from tests.policies.editing import changed
from tests.program.test_delivery import CHANGES as PIPELINE

TODAY = date(2026, 11, 21)


@pytest.mark.parametrize("stack", ["dev", "prod"])
@pytest.mark.parametrize("preview", [True, False], ids=["preview", "update"])
def test_the_shipped_stacks_violate_nothing_that_is_not_waived(stack: str, preview: bool) -> None:
    found = assess(graph_of(stack, preview=preview), stack, TODAY)
    assert [(verdict.check.id, verdict.urn, verdict.message) for verdict in found.of(Status.FAIL)] == []
    assert found.unused_waivers == []


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_nor_do_they_with_the_pipelines_roles(stack: str) -> None:
    found = assess(graph_of(stack, PIPELINE, preview=False), stack, TODAY)
    assert [(verdict.check.id, verdict.urn, verdict.message) for verdict in found.of(Status.FAIL)] == []
    assert found.unused_waivers == []
    assert {verdict.check.id for verdict in found.of(Status.WAIVED) if verdict.urn.endswith("::delivery-deploy")} == {
        "iam-no-service-wildcards",
        "iam-decrypt-scoped",
    }


def test_after_an_update_everything_is_known_but_the_pods_that_charts_make() -> None:
    found = assess(graph_of("prod", preview=False), "prod", TODAY).of(Status.NOT_EVALUATED)
    unknown = [verdict.message for verdict in found if verdict.check.id != "policies-select-something"]
    assert unknown == []
    assert all("pods that charts make" in verdict.message for verdict in found)


@pytest.mark.parametrize(("stack", "ends"), [("prod", True), ("dev", False)])
def test_what_prod_must_know_blocks_it_when_it_is_unknown(stack: str, ends: bool) -> None:
    graph = graph_of(stack)
    [database] = graph.of_type("aws:rds/instance:Instance")
    found = assess(changed(graph, database.urn, "publiclyAccessible", UNKNOWN), stack, TODAY)
    assert [v.urn for v in found.of(Status.NOT_EVALUATED) if v.check.id == "rds-not-public"] == [database.urn]
    assert found.blocks is ends
    assert not assess(graph, stack, TODAY).blocks


def test_a_waiver_ends_on_its_day() -> None:
    ends = min(waiver.expires for waiver in read_waivers(TODAY))
    assert assess(graph_of("prod"), "prod", ends).of(Status.FAIL) == []
    assert assess(graph_of("prod"), "prod", ends + timedelta(days=1)).blocks


def test_a_waiver_covers_its_resource_only() -> None:
    graph = graph_of("prod")
    for name in ("storage-artefacts", "storage-access-logs"):
        [found] = [r for r in graph if r.name == name and "ServerSideEncryption" in r.type]
        path = "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm"
        graph = changed(graph, found.urn, path, "AES256")
    failed = [v for v in assess(graph, "prod", TODAY).of(Status.FAIL) if v.check.id == "bucket-encrypted"]
    assert [verdict.urn.split("::")[-1] for verdict in failed] == ["storage-artefacts"]


def test_a_mended_resource_leaves_its_waiver_to_be_removed() -> None:
    graph = graph_of("prod")
    [found] = [r for r in graph if r.name == "storage-access-logs" and "ServerSideEncryption" in r.type]
    graph = changed(graph, found.urn, "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm", "aws:kms")
    assert [waiver.check for waiver in assess(graph, "prod", TODAY).unused_waivers] == ["bucket-encrypted"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([], "must be an object"),
        ({"rds-multiaz": "advisory"}, "Did you mean rds-multi-az"),
        ({"all": "strict"}, "'strict': is no level"),
        ({"rds-backups": 7}, "must be a level or an object"),
        ({"rds-backups": {"minDays": "many"}}, "minDays='many': must be of the kind of 7"),
        ({"rds-backups": {"minDays": True}}, "minDays=True"),
        ({"not-evaluated": {"checks": ["rds-public"]}}, "not-evaluated.checks: rds-public: there is no such check"),
        ({"not-evaluated": {"check": []}}, "not-evaluated: must be an object of enforcementLevel and checks"),
        ({"rds-backups": {"days": 7}}, "no such parameter. Its parameters: minDays"),
    ],
)
def test_a_mistake_in_the_configuration_is_refused_with_its_place(content: Any, told: str) -> None:
    with pytest.raises(Refused, match=r"prod\.json") as refusal:
        choices(content, all_checks(), "prod.json")
    assert told in str(refusal.value)


@pytest.mark.parametrize("change", [{"owner": ""}, {"reason": "why"}, {"expires": "soon"}, {"until": "2027-01-01"}])
def test_a_waiver_without_owner_reason_or_day_is_refused(change: dict[str, str], tmp_path: Path) -> None:
    written = json.loads(FILE.read_text())
    file = tmp_path / "waivers.json"
    file.write_text(json.dumps([{**written[0], **change}]))
    with pytest.raises(Refused, match=r"waivers\.json: 0\."):
        read_waivers(TODAY, file)


def test_every_waiver_names_a_check() -> None:
    known = {check.id for check in all_checks()}
    assert {waiver.check for waiver in read_waivers(TODAY)} <= known
