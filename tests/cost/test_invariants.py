"""What must hold of every estimate, whatever the quantities; and that a change moves the lines it should and no other."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.cost.amounts import NOTHING, exactly, total
from stacks.cost.delta import difference
from stacks.cost.estimate import Estimate, estimate
from stacks.cost.prices import Meter, load
from stacks.cost.usage import Usage, parse, read
from stacks.graph import Graph
from tests.cost import golden
from tests.environments import graph_of

PRICES = load()
counts = st.integers(min_value=1, max_value=60)
gigabytes = st.integers(min_value=0, max_value=300_000)


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "nodes": draw(counts),
        "gateways": draw(counts),
        "zones": draw(counts),
        "gib": draw(st.integers(min_value=20, max_value=2000)),
        "caches": draw(st.integers(min_value=1, max_value=6)),
        "multi_az": draw(st.booleans()),
        "spot": draw(st.sampled_from(["SPOT", "ON_DEMAND"])),
        "natGb": draw(gigabytes),
        "internetGb": draw(gigabytes),
    }


def estimated(row: dict[str, Any]) -> Estimate:
    graph = golden.graph(
        golden.CLUSTER,
        golden.node_group("nodes", "m7i.xlarge", row["nodes"], row["spot"]),
        *golden.gateways(row["gateways"]),
        golden.load_balancer(row["zones"]),
        golden.database("db.t4g.medium", row["gib"], multi_az=row["multi_az"]),
        golden.cache("cache.t4g.small", row["caches"]),
        golden.VPC,
    )
    usage = parse({"traffic": {"natGb": row["natGb"], "internetGb": row["internetGb"]}}, "drawn")
    return estimate(graph, usage, PRICES)


@given(scenarios(), st.sampled_from(["nodes", "gateways", "zones", "gib", "caches", "natGb", "internetGb"]), counts)
def test_more_of_anything_never_costs_less(row: dict[str, Any], field: str, more: int) -> None:
    before, after = estimated(row).total, estimated({**row, field: row[field] + more}).total
    assert before.low <= after.low
    assert before.expected <= after.expected
    assert before.high <= after.high


@given(scenarios(), scenarios())
def test_before_and_the_difference_make_after_and_lines_make_the_total(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    before, after = estimated(one), estimated(other)
    delta = difference(before, after)
    assert before.total.expected + delta.amount == after.total.expected
    assert sum((change.amount for change in delta.changes), Decimal(0)) == delta.amount
    assert total([line.cost or NOTHING for line in after.lines]) == after.total
    assert total(list(after.by("service").values())) == after.total == total(list(after.by("resource").values()))
    assert difference(after, after).changes == ()


@given(scenarios())
def test_low_expected_and_high_are_in_order_on_every_line(row: dict[str, Any]) -> None:
    for line in estimated(row).lines:
        assert line.cost is not None
        assert Decimal(0) <= line.cost.low <= line.cost.expected <= line.cost.high
        assert line.quantity is not None


@given(scenarios())
def test_multi_az_doubles_instance_and_storage_and_nothing_else(row: dict[str, Any]) -> None:
    one, two = estimated({**row, "multi_az": False}), estimated({**row, "multi_az": True})
    delta = difference(one, two)
    assert [change.resource for change in delta.changes] == ["Instance database"]
    doubled = sum(line.cost.expected for line in one.lines if line.cost and line.service == "AmazonRDS")
    assert delta.amount == doubled


@given(st.decimals(min_value=0, max_value=200_000, places=3))
def test_tiers_are_continuous(gib: Decimal) -> None:
    egress = PRICES.find("us-east-1", Meter("AWSDataTransfer", "DataTransfer-Out-Bytes"))
    assert egress
    step = Decimal("0.001")
    assert Decimal(0) <= egress.cost(gib + step) - egress.cost(gib) <= step * max(row.usd for row in egress.rows)


@given(st.lists(st.tuples(gigabytes, gigabytes), min_size=1, max_size=5))
def test_sums_of_ranges_do_not_depend_on_order(pairs: list[tuple[int, int]]) -> None:
    parts = [exactly(low) + exactly(more) for low, more in pairs]
    assert total(parts) == total(list(reversed(parts)))


def moved(before: Graph, after: Graph, usage: Usage, other: Usage | None = None) -> set[str]:
    delta = difference(estimate(before, usage, PRICES), estimate(after, other or usage, PRICES))
    return {f"{change.resource}: {reason.split(': ')[0]}" for change in delta.changes for reason in change.reasons}


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {"database.instanceClass": "db.t4g.large"},
            {"Instance database: InstanceUsage:db.t4g.medium", "Instance database: InstanceUsage:db.t4g.large"},
        ),
        (
            {"database.multiAz": True},
            {
                "Instance database: InstanceUsage:db.t4g.medium",
                "Instance database: Multi-AZUsage:db.t4g.medium",
                "Instance database: RDS:GP3-Storage",
                "Instance database: RDS:Multi-AZ-GP3-Storage",
            },
        ),
        (
            {"network.natGateways": "perZone"},
            {
                "NatGateway network-us-east-1b: NatGateway-Hours",
                "Eip network-nat-us-east-1b: USE1-PublicIPv4:InUseAddress",
            },
        ),
        (
            {"nodes.system.desiredSize": 3},
            {"NodeGroup system-nodes: BoxUsage:m7i.large", "LaunchTemplate system-nodes: EBS:VolumeUsage.gp3"},
        ),
        (
            {"nodes.workers.diskGib": 100},
            {"EC2NodeClass pools-class: EBS:VolumeUsage.gp3"},
        ),
        ({"cluster.deletionProtection": True}, set[str]()),
    ],
    ids=["class", "multi-az", "nat", "nodes", "disk", "free"],
)
def test_a_change_moves_exactly_the_lines_it_should(changes: dict[str, Any], lines: set[str]) -> None:
    assert moved(graph_of("dev"), graph_of("dev", changes), read("dev")) == lines


def test_another_spot_share_moves_nodes_only() -> None:
    usage = read("dev")
    workers = usage.workers.model_copy(update={"spot_nodes": exactly(2), "on_demand_nodes": exactly(0)})
    other = usage.model_copy(update={"workers": workers})
    assert moved(graph_of("dev"), graph_of("dev"), usage, other) == {
        "NodePool pools-spot: SpotUsage:m7i.xlarge",
        "NodePool pools-on-demand: BoxUsage:m7i.xlarge",
        "EC2NodeClass pools-class: EBS:VolumeUsage.gp3",
    }
