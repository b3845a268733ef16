"""The optimiser: what it suggests holds and saves what the estimator says; what does not hold is named with the reason."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import get_args
from unittest.mock import Mock

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import stacks.capture
from infra.quantities import mebibytes, millicores
from infra.settings.model import Day
from stacks.configuration import read_stack, with_checkout_image
from stacks.configuration import settings_of as validated
from stacks.cost.command import main
from stacks.cost.estimate import estimate
from stacks.cost.ideas import ENDPOINTS, Idea, ideas
from stacks.cost.metrics import Metrics, Pods, read, right_sized
from stacks.cost.optimise import optimised
from stacks.cost.optimise_command import to_yaml
from stacks.terminal import Exit, Refused, run_command
from tests.cost.test_plan import base
from tests.environments import settings_of

DAY = date(2026, 11, 21)
MEASURED = {"days": 14, "workers": {"cpuMillicores": 210, "memoryMebibytes": 520}, "database": {"cpuPercent": 20}}


def test_what_it_suggests_for_prod_validates_and_saves_the_difference_of_two_estimates() -> None:
    prod = base("prod")
    tried = [idea for idea in ideas(prod) if "Retention" not in idea.title]
    found = optimised(prod, [*tried, *right_sized(prod, Metrics.model_validate(MEASURED))], DAY)
    savings = [row.saving for row in found.suggestions]
    assert savings == sorted(savings, reverse=True)
    assert savings[-1] > 0
    for row in found.suggestions:
        pasted = yaml.safe_load(to_yaml(prod, row))["config"]
        config = {**read_stack("prod"), **{key: json.dumps(value) for key, value in pasted.items()}}
        settings = validated(with_checkout_image(config)[0], row.idea.title)
        usage = row.idea.usage(settings) if row.idea.usage else prod.usage
        after = estimate(stacks.capture.capture(settings, "prod"), usage, prod.prices)
        assert row.saving == found.before.total.expected - after.total.expected, row.idea.title
    titles = [row.idea.title for row in found.suggestions]
    assert titles == ["Requests of the pods as measured", "Database on db.r7g.large", "System nodes on m6a.large first"]
    assert "is arm64 while the image" in found.refused["Worker nodes on Graviton too"]
    assert "prod needs three zones" in found.refused["One NAT gateway for all zones"]
    assert "refused by policy (network-endpoints)" in found.refused["NAT in place of the interface endpoints"]
    assert found.refused["Savings Plan for the on-demand base"].startswith("not priced")


def test_what_policy_puts_right_again_or_costs_more_or_has_no_price_is_named_and_not_suggested(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unpriced = Idea("An unknown price", "low", "", {"cache.nodeType": "cache.t4g.nano"})
    tried = [*ideas(base("dev")), unpriced]
    monkeypatch.setattr("stacks.cost.optimise_command.ideas", Mock(return_value=tried))
    assert run_command(main, ["optimise", "--stack", "dev", "--date", DAY.isoformat(), "--json"]) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    hours, system = found["suggestions"]
    off = {"timeZone": "Etc/UTC", "from": "20:00", "to": "08:00", "workdays": [*get_args(Day)[:5]]}
    assert (hours["settings"], hours["saving"]) == ({"langgraph-eks:offHours": off}, "240.11")
    assert hours["changes"][1] == "offHours.from: (default) → 20:00"
    assert "nothing answers at night, accepted runs wait for the morning" in hours["why"]
    assert system["changes"] == ["nodes.system.instanceTypes: m7i.large, m6i.large → m6a.large, m7i.large, m6i.large"]
    assert "logs-retention" in found["refused"]["cluster.logRetentionDays from 30 to 14 days"]
    assert "saves nothing" in found["refused"]["Interface endpoints in place of NAT"]
    assert found["refused"]["An unknown price"].startswith("not priced: ")


def test_an_environment_that_is_off_at_night_is_not_told_to_be() -> None:
    dev = base("dev")
    night = settings_of("dev", {"offHours": {"timeZone": "Etc/UTC", "from": "20:00", "to": "08:00"}})
    titles = {idea.title for idea in ideas(replace(dev, settings=night))}
    assert {idea.title for idea in ideas(dev)} - titles == {"Nodes off outside twelve hours of five days"}


def test_the_endpoints_that_are_suggested_are_all_that_production_needs() -> None:
    assert tuple(ENDPOINTS) == base("prod").settings.network.interface_endpoints


amounts = st.floats(min_value=0.1, max_value=4000)


@given(amounts, amounts)
def test_requests_are_only_lowered_and_never_below_what_was_measured(cpu: float, memory: float) -> None:
    workers = base("prod").settings.service.workers
    metrics = Metrics(days=7, workers=Pods(cpu_millicores=cpu, memory_mebibytes=memory))
    changes = {path: value for idea in right_sized(base("prod"), metrics) for path, value in idea.changes.items()}
    asked = changes.get("service.workers.cpuRequest")
    assert asked is None or cpu <= millicores(asked) < millicores(workers.cpu_request)
    asked = changes.get("service.workers.memoryRequest")
    assert asked is None or memory <= mebibytes(asked) < mebibytes(workers.memory_request)


def test_a_busy_database_keeps_its_class() -> None:
    busy = Metrics.model_validate({"days": 14, "database": {"cpuPercent": 60}})
    assert list(right_sized(base("prod"), busy)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ('{"days": 2}', "days=2: Input should be greater than or equal to 7"),
        ('{"days": 7, "workers": {"cpuMillicores": -1, "memoryMebibytes": 5}}', "workers.cpuMillicores=-1"),
        ('{"days": 7, "database": {"cpuPercent": 101}}', "database.cpuPercent=101"),
        ('{"days": 7, "daytabase": {}}', "daytabase"),
    ],
)
def test_measurements_that_are_none_are_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    file.write_text(text)
    with pytest.raises(Refused, match="holds no measurements") as refusal:
        read(file)
    assert message in str(refusal.value)
