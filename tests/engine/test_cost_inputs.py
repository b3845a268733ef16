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
from stacks.embedded.engine import open_workspace, run
from stacks.terminal import Exit
from tests.engine.running import Running
from tests.environments import config_of

pytestmark = [pytest.mark.engine, pytest.mark.timeout(580)]

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


def previewed(cloud: Running, file: Path) -> dict[str, Any]:
    """What the event log of a preview is priced at."""
    outcome = cloud.command("preview", "--show-sames")
    assert outcome.code == 0, outcome.text
    file.write_text("".join(f"{json.dumps(event)}\n" for event in outcome.events))
    return priced("--from", str(file))


def test_outputs_state_and_previews_cost_what_the_graph_does_and_an_older_output_is_refused(
    tmp_path: Path, pulumi: Path
) -> None:
    cloud = Running(open_workspace("dev", pulumi, tmp_path, config=config_of("dev"), checkpoints=False))
    cloud.must_up()
    graph = priced("--stack", "dev")
    outputs = said(cloud, "stack", "output", "billing", "--json")
    state = tmp_path / "state.json"
    state.write_text(said(cloud, "stack", "export"))
    for source, found in {
        "outputs": priced(text=outputs),
        "state": priced("--from", str(state)),
        "preview of nothing": previewed(cloud, tmp_path / "same"),
    }.items():
        assert (found["total"], found["lines"]) == (graph["total"], graph["lines"]), source

    changed = Running(open_workspace("dev", pulumi, tmp_path, config=config_of("dev", CHANGE)))
    found = previewed(changed, tmp_path / "changed")["delta"]
    assert found["before"] == graph["total"]["expected"]
    moved = {row["urn"].rsplit("::", 1)[-1]: Decimal(row["amount"]) for row in found["changes"]}
    assert moved == {
        "database": Decimal("46.72"),  # (0.129 - 0.065) × 730
        "network-us-east-1b": Decimal("32.85"),  # 0.045 × 730
        "network-nat-us-east-1b": Decimal("3.65"),  # 0.005 × 730
    }
    changed.must_up()
    after = priced(text=said(changed, "stack", "output", "billing", "--json"))
    assert after["total"]["expected"] == found["after"]

    older = cost(text=json.dumps({**json.loads(outputs), "version": 0}))
    assert older.returncode == Exit.BAD_INPUT
    assert "version=0: this checkout reads version 1. Run `pulumi up`" in " ".join(older.stderr.split())
