"""Outputs, state and previews of a real engine run are priced as the captured graph is."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks.configuration import ROOT
from stacks.cost.estimate import as_data, estimate
from stacks.cost.prices import load
from stacks.cost.usage import read
from stacks.embedded.engine import run
from stacks.terminal import Exit
from tests.engine.running import Outcome, Running
from tests.engine.standing import Standing
from tests.environments import graph_of

pytestmark = [pytest.mark.engine, pytest.mark.timeout(580)]

OFF = {"offHours": {"timeZone": "Europe/Berlin", "from": "20:00", "to": "08:00"}}
CHANGE = {"database.instanceClass": "db.t4g.large", "network.natGateways": "perZone"}


def cost(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """The command as a user types it."""
    command = [sys.executable, "-m", "stacks.cost", "--json", "--date", "2026-11-21", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT, check=False)


def priced(*arguments: str, text: str = "") -> dict[str, Any]:
    done = cost(*arguments, text=text)
    assert done.returncode == Exit.OK, done.stderr
    return json.loads(done.stdout)


def said(cloud: Running, *arguments: str) -> str:
    done = run(cloud.workspace, arguments)
    assert done.code == 0, done.stderr
    return done.stdout


def priced_events(outcome: Outcome, file: Path) -> dict[str, Any]:
    """What the event log of a preview is priced at."""
    file.write_text("".join(f"{json.dumps(event)}\n" for event in outcome.events))
    return priced("--from", str(file))


def test_outputs_state_and_previews_cost_what_the_graph_does_and_an_older_output_is_refused(
    dev: Standing, tmp_path: Path, pulumi: Path
) -> None:
    cloud = dev.copy(tmp_path / "dev", pulumi, CHANGE)
    graph = priced("--stack", "dev")
    outputs = said(cloud, "stack", "output", "billing", "--json")
    state = tmp_path / "state.json"
    state.write_text(said(cloud, "stack", "export"))
    for source, found in {
        "outputs": priced(text=outputs),
        "state": priced("--from", str(state)),
        "preview of nothing": priced_events(dev.again, tmp_path / "same"),
    }.items():
        assert (found["total"], found["lines"]) == (graph["total"], graph["lines"]), source

    changed = cloud.command("preview", "--show-sames")
    assert changed.code == 0, changed.text
    found = priced_events(changed, tmp_path / "changed")["delta"]
    assert found["before"] == graph["total"]["expected"]
    moved = {row["urn"].rsplit("::", 1)[-1]: Decimal(row["amount"]) for row in found["changes"]}
    assert moved == {
        "database": Decimal("46.72"),  # (0.129 - 0.065) × 730
        "network-us-east-1b": Decimal("32.85"),  # 0.045 × 730
        "network-nat-us-east-1b": Decimal("3.65"),  # 0.005 × 730
    }
    in_process = as_data(estimate(graph_of("dev", CHANGE), read("dev"), load()))
    assert found["after"] == in_process["total"]["expected"]
    cloud.must_up()
    after = priced(text=said(cloud, "stack", "output", "billing", "--json"))
    assert after["total"]["expected"] == found["after"]

    older = cost(text=json.dumps({**json.loads(outputs), "version": 0}))
    assert older.returncode == Exit.BAD_INPUT
    assert "version=0: this checkout reads version 1. Run `pulumi up`" in " ".join(older.stderr.split())


def test_nights_off_are_read_from_outputs_state_and_previews_alike(dev: Standing, tmp_path: Path, pulumi: Path) -> None:
    cloud = dev.copy(tmp_path / "dev", pulumi, OFF)
    wanted = as_data(estimate(graph_of("dev", OFF), read("dev"), load()))
    planned = cloud.must_preview()
    assert priced_events(planned, tmp_path / "planned")["delta"]["after"] == wanted["total"]["expected"]
    cloud.must_up()
    state = tmp_path / "state.json"
    state.write_text(said(cloud, "stack", "export"))
    for source, found in {
        "outputs": priced(text=said(cloud, "stack", "output", "billing", "--json")),
        "state": priced("--from", str(state)),
        "preview of nothing": priced_events(cloud.command("preview", "--show-sames"), tmp_path / "same"),
    }.items():
        assert (found["total"], found["lines"]) == (wanted["total"], wanted["lines"]), source
    assert cloud.planned() == {}
