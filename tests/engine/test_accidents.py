"""Failures in mid-air, killed commands, and several commands at once: what is left is a state the next `up` mends."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from stacks.embedded.engine import Event, run
from tests.engine.running import Running, fixture_cloud

pytestmark = pytest.mark.engine
DATABASE = "aws:rds/instance:Instance"


CREATIONS = {
    "vpc": ("aws:ec2/vpc:Vpc", "injected: made, but its initialisation failed"),
    "database": (DATABASE, f"injected: create of {DATABASE} failed, nothing was done"),
    "deployment": ("kubernetes:apps/v1:Deployment", "injected: made, but its initialisation failed"),
}


def test_creations_that_fail_are_finished_by_the_next_up(tmp_path: Path, pulumi: Path) -> None:
    cloud = fixture_cloud(tmp_path, pulumi)
    for name, (type_, _) in CREATIONS.items():
        cloud.store.add_fault(type_, "create", after=name != "database")
    failed: set[str] = set()
    while (outcome := cloud.up()).code != 0:
        told = {name for name in CREATIONS if f"({name}):" in outcome.text}
        assert told - failed, outcome.text
        for name in told:
            type_, words = CREATIONS[name]
            assert words in outcome.text
            assert bool(cloud.store.all(type_)) is (name != "database")
        failed |= told
    assert failed == set(CREATIONS)
    assert cloud.planned() == {}
    assert _orphans(cloud) == set()


def test_an_update_a_replacement_and_a_destroy_that_fail_are_finished_when_run_again(
    standing: Path, pulumi: Path
) -> None:
    cloud = fixture_cloud(standing, pulumi, retention=9, offset=8)
    cloud.store.add_fault(DATABASE, "update", after=False)
    cloud.store.add_fault("aws:ec2/subnet:Subnet", "delete", after=False)
    assert cloud.up().code != 0
    cloud.up()  # the second of the two faults may still wait for its operation
    cloud.must_up()
    assert cloud.planned() == {}
    assert _orphans(cloud) == set()

    cloud.store.add_fault("aws:ec2/vpc:Vpc", "delete", after=False)
    assert cloud.destroy().code != 0
    assert cloud.destroy().code == 0
    assert cloud.store.all() == []


def test_after_kill_nine_the_next_command_takes_up_what_was_done(
    tmp_path: Path, pulumi: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = fixture_cloud(tmp_path, pulumi)
    plugins = _kill_where_the_state_lacks_something(cloud)
    assert _orphans(cloud)
    capsys.readouterr()

    cloud = fixture_cloud(tmp_path, pulumi)
    said = capsys.readouterr().err
    assert "a command on test was killed: its lock was released" in said
    assert "were taken into the state" in said
    assert _orphans(cloud) == set()
    assert not [plugin for plugin in plugins if plugin.is_running()]
    cloud.must_up()
    assert cloud.planned() == {}
    assert _orphans(cloud) == set()
    assert fixture_cloud(tmp_path, pulumi).destroy().code == 0
    assert capsys.readouterr().err == ""
    assert cloud.store.all() == []


def _kill_where_the_state_lacks_something(cloud: Running) -> list[psutil.Process]:
    """Stop an `up` again and again until the cloud holds something that the engine has not written down; kill it there.

    Returns its plugins.
    """
    with ThreadPoolExecutor(1) as pool:
        command = pool.submit(cloud.up)
        while not command.done():
            time.sleep(0.01)
            for process in _engines(cloud):
                process.suspend()
                try:
                    time.sleep(0.03)  # the plugins end what they are doing
                    if _orphans(cloud):
                        plugins = process.children(recursive=True)
                        process.kill()
                        assert command.result().code == -signal.SIGKILL
                        return plugins
                finally:
                    with suppress(psutil.NoSuchProcess):
                        process.resume()
    raise AssertionError(f"the engine was never behind the cloud: {command.result().text}")


def _engines(cloud: Running) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it ended meanwhile
            if child.name() == "pulumi" and str(cloud.workspace.project) in child.cmdline():
                found.append(child)
    return found


def _orphans(cloud: Running) -> set[str]:
    """What the cloud holds and the engine has not written down; read from the file, for the engine may be stopped."""
    state = json.loads((cloud.workspace.backend / ".pulumi/stacks/fixture/test.json").read_text())
    latest: dict[str, Any] = state["checkpoint"]["latest"] or {}
    resources: list[dict[str, Any]] = latest.get("resources", [])
    known = {(entry["urn"], entry.get("id")) for entry in resources}
    return {row.id for row in cloud.store.all() if (row.urn, row.id) not in known}


def test_a_fault_in_the_reader_of_events_ends_the_command_in_good_order(tmp_path: Path, pulumi: Path) -> None:
    cloud = fixture_cloud(tmp_path, pulumi)

    def fail(event: Event) -> None:
        if "resourcePreEvent" in event:
            raise RuntimeError("the reader's own")

    with pytest.raises(RuntimeError, match="the reader's own"):
        run(cloud.workspace, ["up", "--yes", "--skip-preview"], fail)
    assert _engines(cloud) == []
    cloud.must_up()
    assert _orphans(cloud) == set()


def test_opening_a_stack_leaves_a_command_alone_that_is_at_work_on_it(tmp_path: Path, pulumi: Path) -> None:
    cloud = fixture_cloud(tmp_path, pulumi)
    with ThreadPoolExecutor(1) as pool:
        command = pool.submit(cloud.up)
        locks = cloud.workspace.backend / ".pulumi" / "locks"
        while not list(locks.rglob("*.json")) and not command.done():
            time.sleep(0.05)
        second = fixture_cloud(tmp_path, pulumi).up()
        assert command.result().code == 0, command.result().text
    assert second.code == 0 or "currently locked" in second.text


def test_two_stacks_side_by_side_know_nothing_of_each_other(tmp_path: Path, pulumi: Path) -> None:
    clouds = [fixture_cloud(tmp_path / name, pulumi, owner=name) for name in ("one", "two")]
    with ThreadPoolExecutor(2) as pool:
        assert [outcome.code for outcome in pool.map(Running.up, clouds)] == [0, 0]
    assert clouds[0].destroy().code == 0
    assert clouds[0].store.all() == []
    assert {row.outputs["tagsAll"]["owner"] for row in clouds[1].store.all("aws:ec2/vpc:Vpc")} == {"two"}
    assert clouds[1].planned() == {}
