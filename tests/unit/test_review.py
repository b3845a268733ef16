"""A review of a small made-up stack: the Markdown that was read by eye, its limit, and what it may not show."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.command import Assessment
from policies.waivers import Waiver
from stacks.graph import UNKNOWN, Graph, Options, Resource, Secret
from stacks.review.changes import Change, Operation, Property, innermost, value_at
from stacks.review.cost import Cost
from stacks.review.danger import dangers
from stacks.review.documents import document, html
from stacks.review.events import Violation, preview_of
from stacks.review.markdown import LIMIT, markdown
from stacks.review.policy import Policy
from stacks.review.redaction import shown
from stacks.review.review import Review
from stacks.terminal import Refused

GOLDEN = Path(__file__).with_name("review.md")
RDS, BUCKET, DEPLOYMENT = "aws:rds/instance:Instance", "aws:s3/bucket:Bucket", "kubernetes:apps/v1:Deployment"


def urn(type_: str, name: str) -> str:
    return f"urn:pulumi:prod::langgraph-eks::{type_}::{name}"


def change(
    type_: str, name: str, operation: Operation, *rows: Property, protected: bool = False, **more: Any
) -> Change:
    return Change(urn(type_, name), type_, more.pop("component", name), operation, rows, protected, **more)


def resource(type_: str, name: str, *needs: str, custom: bool = True, parent: str = "") -> Resource:
    return Resource(urn(type_, name), type_, name, custom, parent, {}, {}, "", needs, {}, Options())


COMPONENTS = [resource("langgraph-eks:aws:Part", name, custom=False) for name in ("network", "database", "service")]
GRAPH = Graph(
    "prod",
    True,
    (
        *COMPONENTS,
        resource("aws:ec2/vpc:Vpc", "network", parent=COMPONENTS[0].urn),
        resource(RDS, "database", urn("aws:ec2/vpc:Vpc", "network"), parent=COMPONENTS[1].urn),
        resource(
            DEPLOYMENT, "service", urn(RDS, "database"), urn("aws:ec2/vpc:Vpc", "network"), parent=COMPONENTS[2].urn
        ),
    ),
    {},
)
CHANGES = [
    change("aws:ec2/vpc:Vpc", "network", "same"),
    change(RDS, "database", "replace", Property("instanceClass", "db.r7g.large", "db.r7g.xlarge"), Property("storageEncrypted", False, True, replaces=True), protected=True),
    change(BUCKET, "exports", "delete", component="storage"),
    change(DEPLOYMENT, "service", "update", Property("spec.template.spec.containers", [{"image": "a|b", "name": "x"}], [{"image": UNKNOWN, "name": "x"}])),
    change("aws:secretsmanager/secret:Secret", "token", "create", component="secrets"),
]  # fmt: skip
POLICY = Policy(
    Assessment(GRAPH, [], list[Waiver]()), frozenset(), (Violation("no-open-door", "mandatory", urn(RDS, "database"), "open to @everyone <b>"),), True
)  # fmt: skip
COST = Cost(
    Decimal(1508),
    Decimal(1694),
    Decimal(2000),
    (("rds.Instance database", Decimal("186.20")),),
    (),
    ("Prices of 2026-11-01.",),
)
REVIEW = Review("prod", GRAPH, CHANGES, POLICY, COST, {"commit": "0123abc", "base": "4567def"})


def test_the_markdown_is_the_one_that_was_read_by_eye() -> None:
    assert markdown(REVIEW) == GOLDEN.read_text()


@pytest.mark.parametrize("limit", [3_000, 6_000, LIMIT])
def test_a_large_review_keeps_verdict_and_dangers_and_counts_what_it_leaves_out(limit: int) -> None:
    many = [change(BUCKET, f"bucket-{number}", "delete", component="storage") for number in range(2_000)]
    text = markdown(replace(REVIEW, changes=[*CHANGES, *many]), limit)
    assert len(text) <= limit
    assert text.startswith("### ⛔ prod: blocked")
    assert "±1 -2001" in text
    assert "more in the full report" in text
    assert text.count("<details") == text.count("</details>")


def test_without_cost_or_without_a_price_the_gate_is_closed() -> None:
    quiet = replace(REVIEW, policy=replace(POLICY, engine=()), changes=CHANGES[3:])
    assert quiet.closed() == {}
    assert list(replace(quiet, cost=None).closed()) == ["cost"]
    assert list(replace(quiet, cost=replace(COST, unpriced=("x",))).closed()) == ["cost"]
    assert list(replace(quiet, cost=replace(COST, after=Decimal(2001))).closed()) == ["cost"]
    assert replace(quiet, cost=None, accepted=frozenset({"cost"})).verdict == "clear"


def test_a_preview_that_ran_no_policy_pack_is_blocked() -> None:
    assert "policy" in replace(REVIEW, policy=replace(POLICY, engine=(), engine_ran=False)).closed()


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([], id="nothing"),
        pytest.param([{"summaryEvent": {"result": "failed"}}], id="failed"),
        pytest.param([{"policyAnalyzeStackSummaryEvent": {"passed": ["one"]}}], id="cut off"),
    ],
)
def test_a_preview_that_did_not_end_well_is_refused(events: list[dict[str, Any]]) -> None:
    with pytest.raises(Refused, match="did not come to its end"):
        preview_of(events, "events.jsonl")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Secret("hunter2"), "x"),
        ("hunter2", "masterPassword"),
        ({"env": [{"apiKey": "hunter2"}]}, "spec"),
        ({"inner": Secret("hunter2")}, "spec"),
        ("postgresql://agent:hunter2@host/db", "url"),
    ],
)
def test_secrets_are_in_no_format(value: Any, path: str) -> None:
    review = replace(REVIEW, changes=[change(DEPLOYMENT, "service", "update", Property(path, value, value))])
    for text in (markdown(review), str(document(review)), html([review])):
        assert "hunter2" not in text
    assert "[secret]" in markdown(review)


def test_where_a_secret_is_may_be_shown() -> None:
    assert shown("arn:aws:secretsmanager:eu-west-1:1:secret:x", "masterUserSecretArn").startswith("arn:")
    assert shown(True, "manageMasterUserPassword") == "true"


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=5), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text("ab", min_size=1, max_size=2), x, max_size=3)))  # fmt: skip
def test_the_innermost_difference_is_a_difference(value: Any) -> None:
    row = innermost(Property("p", {"a": value, "b": 1}, {"a": value, "b": 2}))
    assert (row.path, row.before, row.after) == ("p.b", 1, 2)


def test_values_are_found_by_the_engines_paths() -> None:
    assert value_at({"a": {"b.c": [1, {"d": 2}]}}, 'a["b.c"][1].d') == 2
    assert value_at({"a": []}, "a[3].b") is None


def test_what_stays_in_the_cloud_is_no_loss() -> None:
    [found] = dangers([change(BUCKET, "kept", "delete", retained=True)])
    assert found.downtime == "interruption"
