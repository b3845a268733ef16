"""The Spot recommender: its statistics, its ranking, what it costs, and settings that hold. All prices are made up."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from infra.instances import Shape
from stacks.configuration import read_stack
from stacks.configuration import settings_of as validated
from stacks.cost.command import main
from stacks.cost.market import Market, PriceChange, read, statistics
from stacks.cost.market_live import asked
from stacks.cost.plan import Base
from stacks.cost.spot import advice as advised_by_sample
from stacks.cost.spot import sample
from stacks.cost.spot_command import Advice, advised
from stacks.cost.spot_pool import Candidate, by_rank, ranked, sold
from stacks.terminal import Exit, Refused, run_command
from tests.cost.spot_history import ENDS, WINDOW, ZONES, document, market
from tests.cost.test_plan import base

hours = st.integers(min_value=-4, max_value=24)
unchanged = st.just(Decimal(0))
cents = st.decimals(min_value=Decimal("0.01"), max_value=9, places=2)


@lru_cache
def advice(stack: str) -> Advice:
    return advised(base(stack), market(base(stack)), WINDOW, 18)


@given(st.lists(st.tuples(hours, cents), min_size=1, max_size=12), st.integers(min_value=1, max_value=20))
def test_statistics_are_those_of_looking_at_the_price_every_hour(rows: list[tuple[int, Decimal]], length: int) -> None:
    changes = [PriceChange("m7i.large", "us-east-1a", ENDS + timedelta(hours=at), usd) for at, usd in rows]
    looked: list[Decimal] = []
    for hour in range(length):
        held = [usd for at, usd in sorted(rows, key=lambda row: row[0]) if at <= hour]
        looked += held[-1:]
    found = statistics(changes, ENDS, ENDS + timedelta(hours=length))
    if not looked:
        assert found is None
        return
    assert found is not None
    ordered, mean = sorted(looked), sum(looked, Decimal(0)) / len(looked)
    assert found.median == ordered[-(-len(ordered) * 50 // 100) - 1]
    assert found.p95 == ordered[-(-len(ordered) * 95 // 100) - 1]
    variance = sum(((usd - mean) ** 2 for usd in looked), Decimal(0)) / len(looked)
    assert abs(found.deviation**2 - variance) < Decimal("1e-20")
    assert found.known == timedelta(hours=len(looked))


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    names = draw(
        st.lists(
            st.sampled_from([f"{a}{b}{c}.xlarge" for a in "cmr" for b in "678" for c in "ai"]), unique=True, min_size=2
        )
    )
    return [
        Candidate(
            name, Shape(name[:3], int(name[1]), 4, 16, "amd64"), draw(st.integers(1, 30)), Decimal(10), draw(cents),
            Decimal(10), draw(cents), draw(st.sampled_from([None, 0, 1, 2, 3, 4])),
        )
        for name in names
    ]  # fmt: skip


@given(candidates(), st.data())
def test_what_becomes_dearer_or_wilder_or_is_taken_back_more_never_rises(
    rows: list[Candidate], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(rows) - 1))
    row = rows[index]
    worse = replace(
        row,
        median=row.median + data.draw(unchanged | cents),
        deviation=(row.deviation or 0) + data.draw(unchanged | cents),
        interruptions=data.draw(st.sampled_from([None, 4])) if row.interruptions != 4 else 4,
    )
    before = [found.instance_type for found in by_rank(rows)]
    after = [found.instance_type for found in by_rank([*rows[:index], worse, *rows[index + 1 :]])]
    assert sorted(before) == sorted(after)
    assert after.index(row.instance_type) >= before.index(row.instance_type)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_pool_is_wide_and_its_settings_are_accepted(stack: str) -> None:
    found = advice(stack)
    names = [row.instance_type for row in found.ranking.chosen]
    assert len(set(names)) >= 15
    assert len({row.shape.family for row in found.ranking.chosen}) >= 3
    assert len({row.shape.vcpu for row in found.ranking.chosen}) == 1
    config = {**read_stack(stack), **{key: json.dumps(value) for key, value in printed(stack).items()}}
    assert validated(config, "pasted").nodes.workers.instance_types == tuple(names)


def printed(stack: str) -> dict[str, Any]:
    from stacks.cost.spot_command import to_yaml

    return yaml.safe_load(to_yaml(advice(stack)))["config"]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_month_costs_least_at_the_median_and_most_without_spot(stack: str) -> None:
    cases = advice(stack).cases
    assert [cases[name].discount for name in ("expected", "p95", "fallback")] == [Decimal("0.6"), Decimal("0.5"), 0]
    nodes = [cases[name].nodes for name in ("expected", "p95", "fallback")]
    months = [cases[name].estimate.total.expected for name in ("expected", "p95", "fallback")]
    assert nodes == sorted(set(nodes))
    assert months == sorted(set(months))
    assert months[2] - months[0] == nodes[2] - nodes[0]


def test_a_cheap_type_leads_and_an_unsteady_one_falls_behind() -> None:
    cheap = ranked(base("prod"), market(base("prod"), {"r6i.2xlarge": "0.1"}), WINDOW, 18).chosen
    assert cheap[0].instance_type == "r6i.2xlarge"
    dear = ranked(base("prod"), market(base("prod"), {"c7a.2xlarge": "0.99"}), WINDOW, 18)
    assert dear.left_out["c7a.2xlarge"] == "ranked lower"


def test_a_price_above_on_demand_counts_as_on_demand() -> None:
    found = ranked(base("prod"), market(base("prod"), {"c6a.2xlarge": "3"}), WINDOW, 27).chosen
    [row] = [row for row in found if row.instance_type == "c6a.2xlarge"]
    assert row.median == row.p95 == row.on_demand


def test_types_of_too_few_zones_or_days_or_another_shape_are_left_out_with_the_reason() -> None:
    whole = document(base("prod"))
    whole["InstanceTypeOfferings"] = [
        {"InstanceType": row["InstanceType"], "Location": row["AvailabilityZone"]}
        for row in whole["SpotPriceHistory"]
        if (row["InstanceType"], row["AvailabilityZone"]) != ("m6a.2xlarge", "us-east-1c")
    ]
    young = [row for row in whole["SpotPriceHistory"] if row["InstanceType"] == "m6i.2xlarge"]
    for row in young:
        row["Timestamp"] = (ENDS - timedelta(days=10)).isoformat()
    left_out = ranked(base("prod"), read(json.dumps(whole), "made up"), WINDOW, 18).left_out
    assert left_out["m6a.2xlarge"] == "sold in fewer than 3 zones"
    assert left_out["m6i.2xlarge"] == "without 30 days of prices in each of the environment's zones"
    assert left_out["m7i.xlarge"] == "of another shape than 8 vCPUs"


def test_too_few_types_are_refused() -> None:
    few = Market(tuple(row for row in market(base("prod")).changes if row.instance_type.startswith("c")), {})
    with pytest.raises(Refused, match="0 types are left, and Spot needs 15"):
        ranked(base("prod"), few, WINDOW, 18)


def test_a_region_without_prices_is_refused() -> None:
    elsewhere: Base = replace(base("prod"), settings=base("prod").settings.model_copy(update={"region": "eu-north-1"}))
    with pytest.raises(Refused, match="region=eu-north-1: no instance type has an on-demand price"):
        ranked(elsewhere, market(base("prod")), WINDOW, 18)


def test_aws_s_pages_are_all_read() -> None:
    ec2 = boto3.client("ec2", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    at = datetime.fromisoformat("2026-11-01T00:00:00+00:00")
    price = {
        "InstanceType": "m7i.large",
        "AvailabilityZone": ZONES[0],
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": "0.04",
    }
    with Stubber(ec2) as stub:
        stub.add_response(
            "describe_spot_price_history", {"SpotPriceHistory": [{**price, "Timestamp": at}], "NextToken": "more"}
        )
        stub.add_response(
            "describe_spot_price_history",
            {"SpotPriceHistory": [{**price, "Timestamp": ENDS, "SpotPrice": "0.05"}], "NextToken": ""},
        )
        stub.add_response(
            "describe_instance_type_offerings",
            {"InstanceTypeOfferings": [{"InstanceType": "m7i.large", "Location": zone} for zone in ZONES]},
        )
        found = read(json.dumps(asked(ec2, ["m7i.large"], *WINDOW)), "stub")
        stub.assert_no_pending_responses()
    assert [change.usd for change in found.changes] == [Decimal("0.04"), Decimal("0.05")]
    assert found.offered == {"m7i.large": frozenset(ZONES)}


def test_the_command_prints_ranking_costs_and_conditions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "history.json"
    file.write_text(json.dumps(document(base("prod"))))
    assert run_command(main, ["spot", "--history", str(file), "--days", "60", "--json"]) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["to"], len(found["types"])) == ((ENDS - timedelta(days=24)).isoformat(), 18)
    assert [row["holds"] for row in found["target"]["cases"]] == [True, True, False]
    assert found["onDemandBase"] == {"share": "0.25", "mostNodes": 8}


def test_without_a_history_the_dated_sample_stands_in_and_says_what_it_does_not_know(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command(main, ["spot", "--json"]) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    newest = max(row.as_of for row in sample())
    assert (found["source"], found["to"][:10], len(found["types"])) == ("sample", newest.isoformat(), 18)
    assert {(row["p95"], row["deviation"]) for row in found["types"]} == {(None, None)}
    advisor = advised_by_sample("us-east-1")
    for row in found["types"]:
        assert Decimal(row["median"]) == Decimal(row["onDemand"]) * (1 - advisor[row["instanceType"]].discount)
    assert [row["case"] for row in found["target"]["cases"]] == ["expected", "fallback"]
    config = {**read_stack("prod"), **{key: json.dumps(value) for key, value in found["settings"].items()}}
    names = tuple(row["instanceType"] for row in found["types"])
    assert validated(config, "pasted").nodes.workers.instance_types == names

    assert run_command(main, ["spot"]) == Exit.OK
    told = " ".join(capsys.readouterr().out.split())  # a terminal's width breaks lines
    assert "No price history was given" in told
    assert f"by the Spot Advisor's averages of 2025-05-29 to {newest}" in told
    assert ("average" in told, "p95" in told) == (True, False)


def test_a_type_that_the_sample_lacks_is_left_out_and_named() -> None:
    found = ranked(base("prod"), None, WINDOW, 18)
    missing = {name for name, why in found.left_out.items() if why == "not in the sample of the Spot Advisor"}
    assert missing == {name for name in sold(base("prod")) if name.endswith(".2xlarge")} - {
        row.instance_type for row in sample()
    } - {name for name in found.left_out if name.startswith("t")}


def test_a_history_that_cannot_be_read_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, ["spot", "--history", "nowhere.json"]) == Exit.BAD_INPUT
    assert "--history=nowhere.json: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--days", "20"], "is no number of days from 30 to 90"),
        (["--types", "14"], "is no number of at least 15"),
    ],
)
def test_bad_arguments_are_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=str(Exit.BAD_INPUT.value)):
        main(["spot", *arguments])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"SpotPriceHistory": []}', '{"SpotPriceHistory": [{"SpotPrice": "-1"}]}']
)
def test_what_is_no_history_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="Give what `aws ec2 describe-spot-price-history"):
        read(text, "made up")


@mock_aws
def test_live_answers_are_kept_for_another_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    file = tmp_path / "history.json"
    assert run_command(main, ["spot", "--live", "--save", str(file), "--yaml"]) == Exit.OK
    assert "in place of these sections of Pulumi.prod.yaml" in capsys.readouterr().out
    assert "m7i.2xlarge" in read(file.read_text(), "kept").offered
