"""The command: one total from every source, the gate, and what is refused."""

from __future__ import annotations

import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks.cost.command import main
from stacks.cost.delta import Gate, difference, refusals
from stacks.cost.estimate import Estimate, estimate
from stacks.cost.prices import TABLE, load, require_fresh, staleness, written
from stacks.cost.usage import read
from stacks.graph import Graph
from stacks.terminal import Exit, Refused, run_command
from stacks.wire import revealed
from tests.cost import golden
from tests.environments import graph_of

DAY = ["--date", "2026-11-21"]


def state(graph: Graph) -> list[dict[str, Any]]:
    """The graph's resources as an export has them."""
    rows: list[dict[str, Any]] = [
        {"urn": f"urn:pulumi:{graph.stack}::langgraph-eks::pulumi:pulumi:Stack::x", "type": "pulumi:pulumi:Stack"}
    ]
    for found in graph:
        inputs = json.loads(json.dumps(revealed(dict(found.inputs)), default=str))
        provider = f"{found.options.provider}::id"
        rows.append(
            {"urn": found.urn, "type": found.type, "custom": found.custom, "inputs": inputs, "provider": provider}
        )
    return rows


def events(before: Graph | None, after: Graph) -> str:
    """The engine's events of a preview from one graph to the next."""
    old = {row["urn"]: row for row in state(before)} if before else {}
    new = {row["urn"]: row for row in state(after)}
    lines: list[dict[str, Any]] = []
    for urn in sorted({*old, *new}):
        op = "same" if urn in old and urn in new else "create" if urn in new else "delete"
        step = {
            "urn": urn,
            "op": op,
            "type": (new.get(urn) or old[urn])["type"],
            "old": old.get(urn),
            "new": new.get(urn),
        }
        lines.append({"sequence": len(lines), "resourcePreEvent": {"metadata": step}})
    lines.append({"sequence": len(lines), "summaryEvent": {"result": "succeeded"}})
    return "\n".join(json.dumps(line) for line in lines)


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    main([*arguments, "--json", *DAY])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_capture_outputs_export_and_preview_give_one_total(
    stack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_of(stack, preview=False)
    sources = {
        "outputs": json.dumps(graph.exports["billing"]),
        "export": json.dumps({"version": 3, "deployment": {"resources": state(graph)}}),
        "events": events(None, graph),
    }
    captured = asked(capsys, "--stack", stack)
    for name, text in sources.items():
        file = tmp_path / name
        file.write_text(text)
        found = asked(capsys, "--from", str(file))
        assert (found["lines"], found["total"]) == (captured["lines"], captured["total"]), name
    monkeypatch.setattr("sys.stdin", io.StringIO(sources["outputs"]))
    assert asked(capsys)["total"] == captured["total"]


def test_a_preview_shows_both_sides_and_what_moved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = graph_of("dev"), graph_of("dev", {"database.instanceClass": "db.t4g.large"})
    file = tmp_path / "events"
    file.write_text(events(before, after))
    found = asked(capsys, "--from", str(file))["delta"]
    assert [row["urn"].rsplit("::", 1)[-1] for row in found["changes"]] == ["database"]
    assert Decimal(found["amount"]) == Decimal("46.72")  # (0.129 - 0.065) × 730
    assert Decimal(found["before"]) + Decimal(found["amount"]) == Decimal(found["after"])


def test_reports_hold_every_line_and_escape_what_they_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, text = tmp_path / "page.html", tmp_path / "cost.md"
    main(["--stack", "dev", "--html", str(page), "--markdown", str(text), *DAY])
    shown = capsys.readouterr().out
    found = estimate(graph_of("dev"), read("dev"), load())
    assert "$73.00" in shown
    for line in found.lines:
        assert line.usage_type in page.read_text()
        assert line.usage_type in text.read_text()
    assert page.read_text().count("<svg") == 3  # by service, by resource, as it grows


def cheap() -> Estimate:
    return estimate(*golden.small_dev(), golden.prices())


def test_the_gate_refuses_what_is_dearer_than_the_budget_or_adds_too_much() -> None:
    small, large = cheap(), estimate(*golden.small_prod(), golden.prices())
    grown = difference(small, large)
    assert refusals(Gate(Decimal(300)), small, None) == []
    assert "exceeds the budget of $300.00" in refusals(Gate(Decimal(300)), large, grown)[0]
    assert "adds $1,161.07" in refusals(Gate(Decimal(2000), Decimal(100)), large, grown)[0]
    assert refusals(Gate(Decimal(300), Decimal(100), "agreed on 2026-11-20"), large, grown) == []
    assert refusals(Gate(Decimal(300), None, "  "), large, grown) != []


def test_the_gate_stays_shut_where_data_is_missing() -> None:
    unpriced = estimate(golden.graph(golden.resource("aws:msk/cluster:Cluster", "kafka")), read("dev"), load())
    assert refusals(Gate(Decimal(300)), None, None)
    assert refusals(Gate(Decimal(300)), Estimate("x", (), load().read), None)
    assert "state before" in refusals(Gate(Decimal(300), Decimal(1)), cheap(), None)[0]
    assert "has no price" in refusals(Gate(Decimal(300), Decimal(1)), unpriced, difference(cheap(), unpriced))[0]


def test_the_command_fails_when_the_gate_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, ["--stack", "dev", "--budget", "10", *DAY]) == Exit.FAILED
    assert "exceeds the budget of $10.00" in capsys.readouterr().err
    assert run_command(main, ["--stack", "dev", "--budget", "10", "--override", "agreed", *DAY]) == Exit.OK


BILLING: dict[str, Any] = {"version": 1, "environment": "dev", "resources": []}
REFUSED: list[tuple[str, str, str]] = [
    ("an older version", json.dumps({**BILLING, "version": 0}), "version=0: this checkout reads version 1"),
    ("no JSON", "{", "neither JSON nor a stream"),
    ("another document", "{}", "neither a billing output"),
    ("a list", "[1]", "no object"),
    ("nothing", "", "is empty"),
    ("half a row", json.dumps({**BILLING, "resources": [{"urn": "x"}]}), "is no billing output (KeyError: 'type')"),
    ("no resources", json.dumps({**BILLING, "resources": None}), "is no billing output"),
    ("an unknown environment", json.dumps({**BILLING, "environment": "moon"}), "environment=moon: there is no usage file"),
    ("a preview cut off", json.dumps({"sequence": 0, "preludeEvent": {}}), "ends before its summary"),
    (
        "an unknown region",
        json.dumps({**BILLING, "resources": [{"urn": "a::b::c::d", "type": "aws:kms/key:Key", "region": "mars-1", "facts": {}}]}),
        "region=mars-1: no price of this region",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_bad_document_is_refused_with_what_is_wrong(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "document"
    file.write_text(text)
    assert run_command(main, ["--from", str(file), *DAY]) == Exit.BAD_INPUT
    assert told in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("traffic: {natGb: -1}", "traffic.natGb=-1: Value error, must not be negative"),
        ("traffic: {nat: 1}", "traffic.nat=1: Extra inputs are not permitted"),
        ("hours: {low: 2, expected: 1, high: 3}", "does not hold"),
        ("hours: many", "hours='many'"),
        ("hours: .nan", "hours=nan"),
        ("spot: {discount: 1.2}", "spot.discount=1.2"),
        ("- a", "valid dictionary"),
        ("a: [", "is no usage file"),
    ],
)
def test_a_bad_usage_file_is_refused_with_field_value_and_rule(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, outputs = tmp_path / "usage.yaml", tmp_path / "billing.json"
    file.write_text(text)
    outputs.write_text(json.dumps(BILLING))
    assert run_command(main, ["--from", str(outputs), "--usage", str(file), *DAY]) == Exit.BAD_INPUT
    assert told in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("usd", "eur", "its columns are"),
        (",0.045,", ",free,", "is no price"),
        (",100,10240,", ",101,10240,", "does not follow the one before"),
        (",153600,,", ",153600,500000,", "the last tier of DataTransfer-Out-Bytes in us-east-1 ends at 500000"),
    ],
    ids=["columns", "a word", "a gap", "an end"],
)
def test_a_damaged_price_table_is_refused(old: str, new: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(TABLE.read_text().replace(old, new, 1))
    with pytest.raises(Refused, match=told) as refusal:
        load(file)
    assert refusal.value.code == Exit.STATE


@pytest.mark.parametrize("lines", [0, 1])
def test_an_empty_price_table_is_refused(lines: int, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("".join(TABLE.read_text().splitlines(keepends=True)[:lines]))
    with pytest.raises(Refused, match="the price table is empty"):
        load(file)


def test_an_unknown_instance_type_is_unpriced_and_named() -> None:
    graph = golden.graph(golden.node_group("nodes", "m99.large", 2, "ON_DEMAND"))
    [line] = estimate(graph, read("dev"), load()).lines
    assert line.cost is None
    assert "m99.large" in line.assumption


def test_prices_warn_after_45_days_and_fail_after_120() -> None:
    prices = load()
    read_on = prices.read.toordinal()
    assert staleness(prices, date.fromordinal(read_on + 45)) is None
    assert "46 days ago" in str(staleness(prices, date.fromordinal(read_on + 46)))
    require_fresh(prices, date.fromordinal(read_on + 120))
    with pytest.raises(Refused, match="121 days old"):
        require_fresh(prices, date.fromordinal(read_on + 121))
    assert run_command(main, ["prices", "--date", "2036-01-01"]) == Exit.FAILED


def test_the_committed_table_is_as_its_writer_writes_it_and_every_row_has_its_source() -> None:
    rows = load().rows
    assert TABLE.read_text() == written(rows)
    assert all(row.source and row.unit and row.effective <= row.read for row in rows)
    assert all(row.usd > 0 or row.begins == 0 for row in rows)  # nothing is for free but a first tier
