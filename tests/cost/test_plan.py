"""The capacity planner: the reference table, settings that hold what they are for, and a budget's users."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.service_rules import pods_per_node
from stacks.capture import capture
from stacks.configuration import read_stack, with_checkout_image
from stacks.configuration import settings_of as validated
from stacks.cost.amounts import cents
from stacks.cost.command import main
from stacks.cost.estimate import estimate_resources
from stacks.cost.facts import billed
from stacks.cost.load import demand, load_of
from stacks.cost.plan import RETENTION, Base, Plan, most_users, nodes_for, plan
from stacks.cost.plan_command import to_yaml
from stacks.cost.prices import Prices
from stacks.cost.prices import load as price_table
from stacks.cost.usage import parse, read, scaled
from stacks.terminal import Exit, Refused, run_command
from tests.environments import graph_of, settings_of


@lru_cache
def base(stack: str) -> Base:
    resources = tuple(billed(graph_of(stack)))
    return Base(stack, read_stack(stack), settings_of(stack, image=False), resources, read(stack), price_table())


def planned(stack: str, users: int, **inputs: Any) -> Plan:
    return plan(base(stack), load_of({"users": users, **inputs}))


@pytest.mark.parametrize(
    ("think", "run", "runs_per_second", "in_flight", "pods", "nodes"),
    [(300, 10, 32, 323, 41, 3), (120, 10, 77, 769, 97, 7), (60, 12, 139, 1667, 209, 15), (30, 15, 222, 3333, 417, 30)],
)
def test_ten_thousand_users_need_the_pods_and_nodes_of_the_reference_table(
    think: int, run: int, runs_per_second: int, in_flight: int, pods: int, nodes: int
) -> None:
    prod = settings_of("prod")
    found = demand(load_of({"users": 10_000, "think_seconds": think, "run_seconds": run}), prod.service.workers)
    assert (round(found.runs_per_second), round(found.in_flight), found.pods_by_runs) == (
        runs_per_second,
        in_flight,
        pods,
    )
    assert nodes_for(prod, pods, 0) == nodes


def test_the_smallest_node_holds_the_pods_that_its_memory_leaves_room_for() -> None:
    # c7i.2xlarge: 16,384 MiB − 255 − 11 × 110 − 100 of EKS − 386 of our DaemonSets = 14,433 MiB: 14 pods of 1 GiB;
    # 8,000m − 90 − 330 would be 15 pods of 500m.
    assert pods_per_node(settings_of("prod"), settings_of("prod").service.workers) == 14


def test_cpu_asks_for_more_pods_than_runs_in_flight_at_the_reference_load() -> None:
    found = planned("prod", 10_000).demand
    assert found.pods_by_cpu == math.ceil(10_000 / 72 * 0.6 / (0.5 * 0.7)) == found.worker_pods > found.pods_by_runs
    assert found.tokens_per_minute == pytest.approx(25e6)
    assert found.checkpoint_gb_per_day == pytest.approx(270)


@pytest.mark.parametrize(("stack", "users"), [("dev", 10), ("prod", 1), ("prod", 18_000)])
def test_what_a_plan_prints_is_accepted_and_previewed_and_costs_what_it_says(stack: str, users: int) -> None:
    found = planned(stack, users, keep_days=3)
    pasted = {key: json.dumps(value) for key, value in yaml.safe_load(to_yaml(found))["config"].items()}
    chosen = validated(with_checkout_image({**read_stack(stack), **pasted})[0], "the plan")
    assert chosen.database == found.settings.database
    assert chosen.service.environment[RETENTION] == "259200"
    graph = capture(chosen, stack)
    assert estimate_resources(stack, billed(graph), found.usage, price_table()).lines == found.estimate.lines


@given(st.integers(1, 23_000))
@settings(max_examples=25, deadline=None)
def test_all_pods_have_room_with_a_zone_lost(users: int) -> None:
    found = planned("prod", users).settings
    zones = len(found.network.zones)
    left = found.nodes.workers.max_nodes * (zones - 1) // zones
    assert nodes_for(found, found.service.workers.max_replicas, found.service.api.max_replicas) <= left


@given(st.integers(1, 20_000), st.integers(0, 3_000))
@settings(max_examples=25, deadline=None)
def test_more_users_never_cost_less(users: int, more: int) -> None:
    assert planned("prod", users).estimate.total.expected <= planned("prod", users + more).estimate.total.expected


@given(st.integers(1, 20_000))
@settings(max_examples=5, deadline=None)
def test_users_to_budget_to_users_comes_back_and_one_user_more_is_over_it(users: int) -> None:
    budget = planned("prod", users).estimate.total.expected
    found = most_users(base("prod"), load_of({"users": 1}), budget)
    assert found.load.users >= users
    assert found.estimate.total.expected <= budget < planned("prod", found.load.users + 1).estimate.total.expected


def test_cost_per_user_and_per_thousand_runs_are_the_month_divided() -> None:
    found = planned("prod", 10_000)
    month = found.estimate.total.expected
    assert found.cost_per_user * 10_000 == month
    runs = Decimal(10_000) / 72 * Decimal("0.45") * 730 * 3600
    assert cents(found.cost_per_thousand_runs * runs / 1000) == cents(month)


def test_a_usage_file_keeps_its_numbers_at_its_own_load_and_scales_what_flows() -> None:
    usage = read("prod")
    assert usage.runs_per_month
    assert scaled(usage, Decimal(usage.runs_per_month)).traffic == usage.traffic
    twice = scaled(usage, Decimal(2 * usage.runs_per_month))
    assert twice.traffic.nat_gb.expected == 2 * usage.traffic.nat_gb.expected
    assert twice.logs.groups["pod-logs"].expected == 2 * usage.logs.groups["pod-logs"].expected
    assert twice.storage.persistent_volumes_gb == usage.storage.persistent_volumes_gb
    with pytest.raises(Refused, match=r"runsPerMonth=\(absent\)"):
        scaled(parse({}, "usage"), Decimal(1))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--users", "0"], "--users=0: input should be greater than 0"),
        (["--users", "many"], "--users=many: input should be a valid integer"),
        (["--users", "5", "--run-seconds", "nan"], "--run-seconds=nan: input should be a finite number"),
        (["--users", "5", "--cpu-seconds", "-1"], "--cpu-seconds=-1: input should be greater than 0"),
        (["--users", "5", "--average", "45"], "--average=45: input should be less than or equal to 1"),
        (["--users", "5", "--stack", "moon"], "stack=moon: there is no Pulumi.moon.yaml"),
    ],
)
def test_a_bad_input_is_refused_with_its_name_value_and_rule(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(main, ["plan", *arguments]) == Exit.BAD_INPUT
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--users", "5", "--budget", "100"], ["--budget", "-5"]])
def test_users_or_a_budget_above_nothing_must_be_given(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match=str(Exit.BAD_INPUT.value)):
        main(["plan", *arguments])


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"users": 100_000}, "no priced database class"),
        ({"users": 10_000, "keep_days": 365}, "--keep-days=365: 270 GB of checkpoints a day"),
        ({"users": 10_000, "messages_per_second": 100}, "more than one Valkey primary takes"),
        ({"users": 20_000, "users_per_api_pod": 40}, "network.zones.0.private"),
    ],
)
def test_a_load_that_no_settings_hold_is_refused_with_what_ends_it(inputs: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told):
        plan(base("prod"), load_of(inputs))


def test_a_region_without_prices_is_refused_as_such() -> None:
    with pytest.raises(Refused, match="region=us-east-1: no database class has a price here"):
        plan(replace(base("prod"), prices=Prices(())), load_of({"users": 10}))


def test_a_budget_below_the_fixed_costs_carries_nobody() -> None:
    with pytest.raises(Refused, match="with one user costs"):
        most_users(base("prod"), load_of({"users": 1}), Decimal(100))


def test_the_command_prints_settings_to_paste_the_growth_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, ["plan", "--users", "20", "--stack", "dev"]) == Exit.OK
    shown = capsys.readouterr().out
    assert "as it grows" in shown
    assert "langgraph-eks:service:" in shown
    assert run_command(main, ["plan", "--users", "20", "--stack", "dev", "--json"]) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["langgraph-eks:database"]["instanceClass"] == "db.t4g.medium"
    assert Decimal(found["monthlyUsd"]["expected"]) == cents(planned("dev", 20).estimate.total.expected)
