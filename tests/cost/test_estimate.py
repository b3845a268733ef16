"""The estimate against the golden scenarios, and that nothing in our stacks is left out of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest

from stacks.cost.amounts import cents
from stacks.cost.estimate import estimate, estimate_resources
from stacks.cost.facts import FREE, READINGS, Billed, billed
from stacks.cost.prices import load
from stacks.cost.usage import Usage, read
from stacks.graph import Graph
from tests.cost import golden
from tests.cost.snapshots import SNAPSHOTS, by_usage_type, shown
from tests.environments import graph_of

DEV_LINES = {
    "USE1-AmazonEKS-Hours:perCluster": "73.00",
    "SpotUsage:t3.large": "46.16",
    "NatGateway-Hours": "32.85",
    "USE1-PublicIPv4:InUseAddress": "10.95",  # 3.65 of the gateway, 7.30 of the load balancer
    "LoadBalancerUsage": "16.43",
    "InstanceUsage:db.t4g.medium": "47.45",
    "RDS:GP3-Storage": "2.30",
    "NodeUsage:cache.t4g.small": "18.69",
    "USE1-DataProcessing-Bytes": "5.00",
}
PROD_LINES = {
    "USE1-AmazonEKS-Hours:perCluster": "73.00",
    "BoxUsage:m6i.xlarge": "420.48",
    "SpotUsage:m6i.xlarge": "189.22",
    "NatGateway-Hours": "98.55",
    "USE1-PublicIPv4:InUseAddress": "21.90",  # 10.95 of the gateways, 10.95 of the load balancer
    "LoadBalancerUsage": "16.43",
    "Multi-AZUsage:db.m7g.large": "245.28",
    "RDS:Multi-AZ-GP3-Storage": "46.00",
    "NodeUsage:cache.m7g.large": "184.54",
    "NatGateway-Bytes": "22.50",
    "DataTransfer-Regional-Bytes": "10.00",
    "DataTransfer-Out-Bytes": "36.00",
    "USE1-DataProcessing-Bytes": "50.00",
}


@pytest.mark.parametrize(
    ("scenario", "lines", "total", "floor"),
    [
        (golden.small_dev(), DEV_LINES, "252.82", "133.23"),
        (golden.small_prod(), PROD_LINES, "1413.90", "209.88"),
    ],
    ids=["golden_small_dev", "golden_small_prod"],
)
def test_each_line_of_a_golden_scenario_is_right_to_the_cent(
    scenario: tuple[Graph, Usage], lines: dict[str, str], total: str, floor: str
) -> None:
    found = estimate(*scenario, golden.prices())
    assert {name: str(cents(amount)) for name, amount in by_usage_type(found).items()} == lines
    assert str(cents(found.total.expected)) == total
    assert str(cents(found.floor)) == floor
    assert found.unpriced == ()


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_our_own_stacks_cost_what_they_did_until_a_reason_moves_them(stack: str) -> None:
    """After a change that is meant: `python -m tests.cost.snapshots`, and the reason in the commit."""
    assert shown(stack) == json.loads(SNAPSHOTS.read_text())[stack]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_every_type_of_our_stacks_is_priced_unpriced_or_free(stack: str) -> None:
    graph = graph_of(stack)
    found = estimate(graph, read(stack), load())
    told = {graph.by_urn(line.urn).type for line in found.lines}
    gateways_only = {"aws:ec2/vpcEndpoint:VpcEndpoint"} if stack == "dev" else set[str]()  # S3's costs nothing
    types = {r.type for r in graph if r.custom and r.package == "aws"}
    silent = types - told - FREE - gateways_only - {"aws:ec2/vpc:Vpc"}
    assert silent == set()
    assert not FREE & set(READINGS)


def test_a_type_that_nobody_judged_is_an_unpriced_line_and_never_nothing() -> None:
    found = estimate(golden.graph(golden.resource("aws:msk/cluster:Cluster", "kafka")), Usage(), load())
    [line] = found.lines
    assert (line.confidence, line.cost) == ("unpriced", None)
    assert "aws:msk/cluster:Cluster" in line.assumption
    assert found.unpriced == (line,)


@pytest.mark.parametrize(
    ("day", "multi_az", "usage_type", "cost"),
    [
        ("2029-02-28", False, None, "0"),
        ("2029-03-01", False, "ExtendedSupport:Yr1-Yr2:PostgreSQL16", "146.00"),  # 2 vCPUs × 730 × 0.10
        ("2029-03-01", True, "ExtendedSupport:Yr1-Yr2:PostgreSQL16", "292.00"),
        ("2031-03-01", False, "ExtendedSupport:Yr3:PostgreSQL16", "292.00"),
    ],
)
def test_an_old_postgresql_costs_more_from_the_day_on_which_its_standard_support_ends(
    day: str, multi_az: bool, usage_type: str | None, cost: str
) -> None:
    database = golden.database("db.t3.large", 20, multi_az=multi_az)
    inputs = {**database.inputs, "engineVersion": "16.14", "engineLifecycleSupport": None}
    found = estimate(golden.graph(replace(database, inputs=inputs)), Usage(), load(), date.fromisoformat(day))
    late = {
        line.usage_type: str(cents(line.cost.expected))
        for line in found.lines
        if line.cost and "Extended" in line.usage_type
    }
    assert late == ({usage_type: cost} if usage_type else {})


@pytest.mark.parametrize("stack", ["dev", "prod"])
@pytest.mark.parametrize("preview", [True, False], ids=["preview", "update"])
def test_stack_outputs_alone_give_what_the_graph_gives(stack: str, preview: bool) -> None:
    graph = graph_of(stack, preview=preview)
    exported = json.loads(json.dumps(graph.exports["billing"]))
    resources = [Billed(row["urn"], row["type"], row["region"], row["facts"]) for row in exported["resources"]]
    assert {row.urn: row for row in resources} == {row.urn: row for row in billed(graph)}
    from_outputs = estimate_resources(stack, resources, read(stack), load())
    assert from_outputs == estimate(graph, read(stack), load())
