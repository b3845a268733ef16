"""The price table: made from dated inputs, refreshed from AWS's answers, and kept wherever those are not clear."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.loaders import Loader
from botocore.stub import Stubber

from stacks.cost.command import main
from stacks.cost.estimate import estimate
from stacks.cost.price_list import Unlisted, Wanted, ask, rows_of, wanted
from stacks.cost.prices import TABLE, UNLIMITED, Meter, Price, load, second_hand, written
from stacks.cost.quoted import QUOTED, read_quoted, with_quoted
from stacks.cost.usage import Usage
from stacks.terminal import Exit, Refused, run_command
from tests.cost import golden

DAY = date(2026, 12, 1)
# An answer as AWS recorded it for its SDKs. Since then products name their region by its code, too.
EXAMPLE = Loader().load_service_model("pricing", "examples-1")["examples"]["GetProducts"][0]["output"]
EGRESS = Meter("AWSDataTransfer", "DataTransfer-Out-Bytes")
NAT = Meter("AmazonEC2", "NatGateway-Hours")


def product(rows: Iterable[Price], region: str = "", usage_type: str = "", **attributes: str) -> dict[str, Any]:
    """The recorded product with the tiers of a meter."""
    tiers = list(rows)
    first, found = tiers[0], json.loads(EXAMPLE["PriceList"][0])
    facts = dict(part.split("=") for part in first.attributes.split(";") if part)
    said = {"usagetype": usage_type or first.usage_type, "regionCode": region or first.region, **facts, **attributes}
    if first.service == "AWSDataTransfer":
        said["fromRegionCode"] = said.pop("regionCode")
    family = said.pop("productFamily", found["product"]["productFamily"])
    found["product"] = {"productFamily": family, "attributes": said, "sku": sku(first)}
    found["serviceCode"] = first.service
    [term] = found["terms"]["OnDemand"].values()
    [dimension] = term["priceDimensions"].values()
    term["priceDimensions"] = {
        f"rate {number}": {
            **dimension,
            "unit": row.unit,
            "beginRange": str(row.begins),
            "endRange": "Inf" if row.ends == UNLIMITED else str(row.ends),
            "pricePerUnit": {"USD": f"{row.usd:.10f}"},
        }
        for number, row in enumerate(tiers)
    }
    return found


def sku(row: Price) -> str:
    return f"SKU-{row.region}-{row.usage_type}-{row.attributes}"


def meter_of(meter: Meter) -> Wanted:
    [found] = [row for row in wanted(load(), "us-east-1") if row.meter == meter]
    return found


def answers(path: Path, *found: dict[str, Any]) -> list[str]:
    """A file as `aws pricing get-products` prints it, and the arguments that read it on a copy of the table."""
    file, table = path / "answers.json", path / "prices.csv"
    file.write_text(json.dumps({"PriceList": [json.dumps(row) for row in found]}))
    if not table.exists():
        table.write_text(TABLE.read_text())
    return ["refresh", "--from", str(file), "--prices", str(table), "--date", DAY.isoformat()]


def everything(region: str = "us-east-1") -> list[dict[str, Any]]:
    """The Price List as if it said what the table says."""
    return [product(rows) for rows in load().meters(region).values()]


def test_the_committed_table_is_what_the_generator_makes_of_its_committed_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert TABLE.read_text() == written(with_quoted(load().rows, read_quoted(QUOTED.read_text(), QUOTED.name)))
    table = tmp_path / "prices.csv"
    table.write_text("".join(TABLE.read_text().splitlines(keepends=True)[:2]))
    main(["refresh", "--from", str(QUOTED), "--prices", str(table), "--apply"])
    assert [row for row in load(table).rows if not row.sku] == [row for row in load().rows if not row.sku]
    capsys.readouterr()


def test_a_quote_for_many_is_a_price_for_one_and_multi_az_is_twice() -> None:
    rows = {row.usage_type: row for row in load().rows}
    assert rows["us-east-1-KMS-Requests"].usd * 10_000 == Decimal("0.03")
    assert rows["us-east-1-KMS-Requests"].source.endswith("0.03 for 10,000")
    assert rows["Multi-AZUsage:db.t4g.medium"].usd == 2 * rows["InstanceUsage:db.t4g.medium"].usd


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (",0.03,10000,", ",0.03,0,", "per=0: must be a whole number above 0"),
        (",0.03,10000,", ",0.03,ten,", "per=ten"),
        (",0.03,10000,", ",-0.03,1,", "is no price"),
        ("usd,per", "usd,for", "its columns are"),
    ],
)
def test_a_malformed_quote_is_refused(old: str, new: str, told: str) -> None:
    with pytest.raises(Refused, match=re.escape(told)):
        read_quoted(QUOTED.read_text().replace(old, new, 1), "quoted.csv")


def test_a_price_list_that_says_the_same_moves_nothing_and_names_every_sku(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = answers(tmp_path, *everything())
    assert run_command(main, [*arguments, "--json", "--apply"]) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    home = load().meters("us-east-1")
    assert (told["moves"], told["failures"], told["confirmed"]) == ([], [], len(home))
    after = load(tmp_path / "prices.csv")
    assert [row.usd for row in after.rows] == [row.usd for row in load().rows]
    assert {row.read for row in after.rows if row.region == "us-east-1"} == {DAY}
    assert all(row.sku == sku(home[row.key][0]) for row in after.rows if row.region == "us-east-1")
    assert second_hand(after, DAY) == len(after.rows) - sum(row.region == "us-east-1" for row in after.rows)
    quoted = read_quoted(QUOTED.read_text(), QUOTED.name)
    assert with_quoted(after.rows, quoted) == list(after.rows), "what the Price List said stays before any quote"


def test_another_price_is_shown_with_its_difference_and_written_only_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = product([replace(row, usd=Decimal("0.054")) for row in meter_of(NAT).rows])
    arguments = answers(
        tmp_path, *[row for row in everything() if row["product"]["sku"] != said["product"]["sku"]], said
    )
    assert run_command(main, [*arguments, "--json"]) == Exit.OK
    [move] = json.loads(capsys.readouterr().out)["moves"]
    assert (move["usageType"], move["old"], move["new"], move["percent"]) == (NAT.usage_type, "0.045", "0.054", "20.00")
    assert (tmp_path / "prices.csv").read_text() == TABLE.read_text()
    assert run_command(main, [*arguments, "--apply"]) == Exit.OK
    assert "0.054" in capsys.readouterr().out
    found = estimate(golden.graph(*golden.gateways(1)), Usage(), load(tmp_path / "prices.csv"))
    assert Decimal("0.054") * 730 in [line.cost.expected for line in found.lines if line.cost]


def test_a_meter_without_exactly_one_sku_is_named_and_keeps_its_rows_while_others_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = everything()
    twice = next(row for row in said if row["product"]["attributes"]["usagetype"] == NAT.usage_type)
    left_out = next(row for row in said if row["product"]["attributes"]["usagetype"] == "BoxUsage:m7i.large")
    other = {**copy.deepcopy(twice), "product": {**twice["product"], "sku": "ANOTHER"}}
    said.remove(left_out)
    assert run_command(main, [*answers(tmp_path, *said, other), "--json", "--apply"]) == Exit.FAILED
    failures = "\n".join(json.loads(capsys.readouterr().out)["failures"])
    assert "BoxUsage:m7i.large: 0 SKUs fit, not one" in failures
    assert re.search(r"NatGateway-Hours: 2 SKUs fit \(ANOTHER, SKU-[^)]*\), not one", failures)
    after = {row.usage_type: row for row in load(tmp_path / "prices.csv").rows}
    assert after["BoxUsage:m7i.large"].sku == after["NatGateway-Hours"].sku == ""
    assert after["BoxUsage:m7i.xlarge"].read == DAY


@pytest.mark.parametrize(
    "attributes",
    [
        {"marketoption": "Spot"},
        {"capacitystatus": "UnusedCapacityReservation"},
        {"tenancy": "Dedicated"},
        {"operatingSystem": "Windows"},
        {"preInstalledSw": "SQL Std"},
        {"regionCode": "us-east-2"},
        {"usagetype": "UnusedBox:m7i.large"},
    ],
    ids=lambda attributes: next(iter(attributes)),
)
def test_spot_reservations_and_other_systems_are_not_the_price_of_a_node(attributes: dict[str, str]) -> None:
    [meter] = [row for row in wanted(load(), "us-east-1") if row.meter.usage_type == "BoxUsage:m7i.large"]
    right = product(meter.rows)
    wrong = product(meter.rows, **attributes)
    assert [row.usd for row in rows_of([right, wrong], meter, DAY)] == [row.usd for row in meter.rows]
    with pytest.raises(Unlisted, match="0 SKUs"):
        rows_of([wrong], meter, DAY)


def damaged(path: str, value: object) -> dict[str, Any]:
    """The gateway's product with one thing in it replaced; dots lead through single entries."""
    found = product(meter_of(NAT).rows)
    holder: Any = found
    *steps, last = path.split(".")
    for step in steps:
        holder = next(iter(holder.values())) if step == "*" else holder[step]
    if value is None:
        del holder[last]
    else:
        holder[last] = value
    return found


DIMENSION = "terms.OnDemand.*.priceDimensions.*"


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("product", None, "KeyError: 'product'"),
        ("product.attributes", [], "malformed"),
        ("terms.OnDemand", {}, "malformed"),
        ("terms", {"Reserved": {}}, "KeyError: 'OnDemand'"),
        ("terms.OnDemand.*.effectiveDate", "soon", "Invalid isoformat"),
        (f"{DIMENSION}.pricePerUnit", {"CNY": "1"}, "KeyError: 'USD'"),
        (f"{DIMENSION}.pricePerUnit", {"USD": "free"}, "malformed"),
        (f"{DIMENSION}.pricePerUnit", {"USD": "-1"}, "is negative"),
        (f"{DIMENSION}.pricePerUnit", {"USD": "0"}, "costs nothing there"),
        (f"{DIMENSION}.beginRange", "5", "does not follow the one before"),
        (f"{DIMENSION}.unit", "Quantity", "its unit is Quantity, and ours Hrs"),
    ],
)
def test_a_malformed_answer_gives_no_price_and_says_why(path: str, value: object, told: str) -> None:
    with pytest.raises(Unlisted, match=re.escape(told)):
        rows_of([damaged(path, value)], meter_of(NAT), DAY)


def test_tiers_come_in_their_order_and_the_free_first_one_stays() -> None:
    meter = meter_of(EGRESS)
    paid = [replace(meter.rows[1], begins=Decimal(0)), *meter.rows[2:]]
    for said in (meter.rows, paid):
        found = rows_of([product(reversed(list(said)))], meter, DAY)
        assert [(row.begins, row.usd) for row in found] == [(row.begins, row.usd) for row in meter.rows]
        assert len({row.sku for row in found}) == 1


def test_all_pages_of_an_answer_are_read_with_filters_that_leave_one_sku() -> None:
    [meter] = [row for row in wanted(load(), "us-east-1") if row.meter.usage_type == "BoxUsage:m7i.large"]
    client = boto3.client("pricing", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    filters = {
        "usagetype": "BoxUsage:m7i.large",
        "regionCode": "us-east-1",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "tenancy": "Shared",
    }
    asked: dict[str, Any] = {
        "ServiceCode": "AmazonEC2",
        "FormatVersion": "aws_v1",
        "Filters": [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()],
    }
    with Stubber(client) as stub:
        stub.add_response("get_products", {"PriceList": [], "NextToken": EXAMPLE["NextToken"]}, asked)
        last = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product(meter.rows))]}
        stub.add_response("get_products", last, {**asked, "NextToken": EXAMPLE["NextToken"]})
        found = ask(client, meter)
        stub.assert_no_pending_responses()
    assert rows_of(found, meter, DAY)[0].sku == sku(meter.rows[0])


def test_another_region_is_priced_by_what_its_own_list_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gateways = golden.graph(*golden.gateways(1), golden.CLUSTER, region="eu-central-1")
    assert all("stacks.cost refresh" in line.assumption for line in estimate(gateways, Usage(), load()).unpriced)
    said = [
        product(meter_of(NAT).rows, "eu-central-1", "EUC1-NatGateway-Hours"),
        product(meter_of(Meter("awskms", "us-east-1-KMS-Keys")).rows, "eu-central-1", "eu-central-1-KMS-Keys"),
        product(meter_of(EGRESS).rows, "eu-central-1", "EUC1-DataTransfer-Out-Bytes"),
    ]
    arguments = [*answers(tmp_path, *said), "--region", "eu-central-1", "--json", "--apply"]
    assert run_command(main, arguments) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["confirmed"], told["failures"]) == (3, [])
    assert "eu-central-1 AmazonEKS EUC1-AmazonEKS-Hours:perCluster: 0 SKUs fit, not one" in told["absent"]
    after = load(tmp_path / "prices.csv")
    assert [row for row in after.rows if row.region != "eu-central-1"] == list(load().rows)
    found = {line.usage_type: line.confidence for line in estimate(gateways, Usage(), after).lines}
    assert found["EUC1-NatGateway-Hours"] == "priced"
    assert found["EUC1-AmazonEKS-Hours:perCluster"] == "unpriced"


def test_an_instance_type_that_the_table_lacks_is_asked_for_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = golden.graph(golden.node_group("nodes", "m99.large", 1, "ON_DEMAND"))
    [line] = estimate(nodes, Usage(), load()).unpriced
    assert "refresh --type" in line.assumption
    names = ["m99.large", "db.m99.large", "cache.m99.large"]
    asked = [row for row in wanted(load(), "us-east-1", names) if "m99" in row.spellings[0]]
    assert {(row.meter.usage_type, row.meter.attributes.partition(";")[0]) for row in asked} == {
        ("BoxUsage:m99.large", "capacitystatus=Used"),
        ("InstanceUsage:db.m99.large", "databaseEngine=PostgreSQL"),
        ("Multi-AZUsage:db.m99.large", "databaseEngine=PostgreSQL"),
        ("NodeUsage:cache.m99.large", "cacheEngine=Redis"),
        ("NodeUsage:cache.m99.large", "cacheEngine=Valkey"),
    }
    [model] = [row for row in wanted(load(), "us-east-1") if row.meter.usage_type == "BoxUsage:m7i.large"]
    said = [*everything(), product(model.rows, usage_type="BoxUsage:m99.large")]
    arguments = [*answers(tmp_path, *said), *(part for name in names for part in ("--type", name)), "--json", "--apply"]
    assert run_command(main, arguments) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert [(move["usageType"], move["old"]) for move in told["moves"]] == [("BoxUsage:m99.large", None)]
    assert len(told["absent"]) == 4
    assert estimate(nodes, Usage(), load(tmp_path / "prices.csv")).total.expected == model.rows[0].usd * 730


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no answer of the Price List"),
        ("[]", "is no answer of the Price List"),
        ('{"PriceList": ["{"]}', "answers no JSON"),
        ('{"PriceList": null}', "is no answer of the Price List"),
    ],
)
def test_a_file_that_is_no_answer_is_refused(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = answers(tmp_path)
    (tmp_path / "answers.json").write_text(text)
    assert run_command(main, [*arguments, "--apply"]) in (Exit.BAD_INPUT, Exit.FAILED)
    assert told in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "prices.csv").read_text() == TABLE.read_text()


def test_without_credentials_the_command_says_so_and_the_table_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    table = tmp_path / "prices.csv"
    table.write_text(TABLE.read_text())
    assert run_command(main, ["refresh", "--prices", str(table), "--apply"]) == Exit.MISSING
    assert "--profile" in capsys.readouterr().err
    assert table.read_text() == TABLE.read_text()
