"""Hours that nodes run: from the schedules of the graph, whatever it was read from, and never more than the usage file's."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.aws.off_hours import expression
from infra.off_hours import SHORTEST, coming, going
from infra.settings.model import Day
from infra.settings.platform import OffHours
from stacks.cost.amounts import HOURS, cents, exactly
from stacks.cost.estimate import Estimate, Line, estimate, estimate_resources
from stacks.cost.facts import Billed, billed
from stacks.cost.prices import load
from stacks.cost.rules.compute import CRON_JOB, NODE_GROUP, POOL, SCHEDULE
from stacks.cost.rules.hours import hours_of
from stacks.cost.usage import parse, read
from stacks.graph import Graph
from tests.cost import golden
from tests.environments import graph_of

OFF = {"offHours": {"timeZone": "Europe/Berlin", "from": "20:00", "to": "08:00"}}
PRICES = load()
# An average week: workers run as long as the service does, system nodes from 15 minutes before to 30 minutes after.
WORKERS, SYSTEM = HOURS * 60 / 168, HOURS * Decimal("63.75") / 168


def node_hours(found: Estimate, type_: str) -> dict[str, Line]:
    """The lines of instances by the group's or pool's name."""
    return {
        line.urn.rsplit("::", 1)[-1]: line for line in found.lines if f"{type_}::" in line.urn and line.unit == "Hrs"
    }


def test_nodes_and_their_disks_are_priced_for_the_hours_between_the_schedules_and_nothing_else_moves() -> None:
    usage = read("dev")
    before, after = (estimate(graph_of("dev", changes), usage, PRICES) for changes in ({}, OFF))
    for type_, hours in ((NODE_GROUP, SYSTEM), (POOL, WORKERS)):
        lines = node_hours(after, type_)
        assert lines
        for name, line in lines.items():
            always = node_hours(before, type_)[name]
            assert line.quantity
            assert always.quantity
            assert line.quantity.expected == always.quantity.expected / HOURS * hours
            assert f"on for {hours:.0f} of 730 hours" in line.assumption
            assert "on for" not in always.assumption
    one, other = ({(line.urn, line.usage_type): line for line in found.lines} for found in (before, after))
    moved = {key for key in one.keys() & other.keys() if one[key].cost != other[key].cost}
    assert {urn.rsplit("::", 1)[-1] for urn, _ in moved} == {
        "system-nodes", "pools-on-demand", "pools-spot", "pools-class",
    }  # fmt: skip
    alarms = {urn.rsplit("::", 1)[-1] for urn, _ in one.keys() - other.keys()}
    assert (alarms, other.keys() - one.keys()) == (
        {"heartbeat", "alarms-interruptions-unread", "alarms-load-balancer-errors"},
        set[tuple[str, str]](),
    )
    disks = next(line for key, line in other.items() if key[0].endswith("LaunchTemplate::system-nodes"))
    assert disks.quantity
    assert disks.quantity.expected == pytest.approx(2 * 50 * SYSTEM / HOURS)  # nodes × GiB


@pytest.mark.parametrize("preview", [True, False], ids=["preview", "update"])
def test_the_outputs_of_a_stack_with_off_hours_give_what_the_graph_gives(preview: bool) -> None:
    graph = graph_of("dev", OFF, preview=preview)
    exported = json.loads(json.dumps(graph.exports["billing"]))
    rows = [Billed(row["urn"], row["type"], row["region"], row["facts"]) for row in exported["resources"]]
    from_outputs = estimate_resources("dev", rows, read("dev"), PRICES)
    assert from_outputs == estimate(graph, read("dev"), PRICES)
    assert from_outputs.total == estimate(graph_of("dev", OFF), read("dev"), PRICES).total


@pytest.mark.parametrize(("said", "expected"), [(100, Decimal(100)), (600, SYSTEM)], ids=["fewer", "more"])
def test_of_a_usage_files_hours_and_the_schedules_the_fewer_count(said: int, expected: Decimal) -> None:
    usage = parse({"hours": {"low": 50, "expected": said, "high": 730}}, "given")
    line = node_hours(estimate(graph_of("dev", OFF), usage, PRICES), NODE_GROUP)["system-nodes"]
    assert line.quantity
    assert (line.quantity.low, line.quantity.expected, line.quantity.high) == (100, 2 * expected, 2 * SYSTEM)


def scheduled(on: str, off: str) -> Graph:
    """Two nodes and the schedules of their group."""
    return golden.graph(
        golden.node_group("nodes", "m7i.large", 2, "ON_DEMAND"),
        golden.resource(SCHEDULE, "nodes-on", scheduleExpression=on),
        golden.resource(SCHEDULE, "nodes-off", scheduleExpression=off),
    )


def week(begins: int, lasts: int, days: tuple[str, ...]) -> Graph:
    """On at a minute of these days for so many minutes."""
    on, off = (f"{at // 60:02}:{at % 60:02}" for at in (begins, (begins + lasts) % (24 * 60)))
    hours = OffHours.model_validate({"timeZone": "Etc/UTC", "from": off, "to": on, "workdays": days})
    return scheduled(expression(coming(hours)), expression(going(hours)))


minutes = st.integers(1, 24 * 60 - SHORTEST)
some_days = st.lists(st.sampled_from(get_args(Day)), min_size=1, unique=True).map(tuple)


@given(st.integers(0, 24 * 60 - 1), minutes, minutes, some_days)
def test_longer_on_never_costs_less(begins: int, one: int, other: int, days: tuple[str, ...]) -> None:
    shorter, longer = (
        estimate(week(begins, lasts, days), parse({}, "none"), PRICES).total.expected for lasts in sorted((one, other))
    )
    assert shorter <= longer
    fewer = estimate(week(begins, one, days[:1]), parse({}, "none"), PRICES).total.expected
    assert fewer <= estimate(week(begins, one, days), parse({}, "none"), PRICES).total.expected


@given(st.integers(0, 24 * 60 - 1), minutes, some_days)
def test_a_week_has_as_many_hours_as_its_days_are_long(begins: int, lasts: int, days: tuple[str, ...]) -> None:
    found = hours_of(billed(week(begins, lasts, days)), SCHEDULE, "nodes")
    assert cents(found) == cents(HOURS * lasts * len(days) / (7 * 24 * 60))


@pytest.mark.parametrize(
    ("on", "off"),
    [
        ("rate(1 day)", "cron(0 20 ? * MON *)"),
        ("cron(0 8 ? * MON-FRI *)", "cron(0 20 ? * MON-FRI *)"),
        ("cron(0 8 1 * ? *)", "cron(0 20 ? * MON *)"),
        ("cron(0 8 ? * 2 *)", "cron(0 20 ? * FUN *)"),
    ],
)
def test_schedules_that_are_not_ours_to_read_take_nothing_off(on: str, off: str) -> None:
    assert hours_of(billed(scheduled(on, off)), SCHEDULE, "nodes") == HOURS


def test_one_schedule_alone_or_a_name_of_another_group_takes_nothing_off() -> None:
    found = billed(scheduled("cron(0 8 ? * MON *)", "cron(0 20 ? * MON *)"))
    assert hours_of(found, SCHEDULE, "nodes") == HOURS * 12 / 168
    for rows, type_, name in (
        (found, SCHEDULE, "other"),
        (found, CRON_JOB, "nodes"),
        ([row for row in found if row.name != "nodes-off"], SCHEDULE, "nodes"),
    ):
        assert hours_of(rows, type_, name) == HOURS


def test_schedules_themselves_cost_nothing() -> None:
    found = estimate(graph_of("dev", OFF), parse({"hours": 730}, "none"), PRICES)
    assert not [line for line in found.lines if SCHEDULE in line.urn or CRON_JOB in line.urn]
    assert exactly(0) != found.total
