"""Where no pulumi command can be had, `make up` says so in one line, shows the plan and still starts the service."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from stacks import down, local_service, up
from stacks.terminal import Exit, Refused, console
from tools.activity import silent
from tools.catalogue import PULUMI, TOOLS
from tools.obtain import obtain

pytestmark = pytest.mark.service


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    local_service.stop(tmp_path / ".run", silent)


@pytest.fixture
def _no_pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the command, and without a way to it."""
    without = [entry for entry in os.environ["PATH"].split(os.pathsep) if not Path(entry, "pulumi").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(without))
    monkeypatch.setitem(TOOLS, "pulumi", replace(PULUMI, release=None, go=None))
    monkeypatch.setattr(up, "obtain", partial(obtain, folder=tmp_path / "tools"))


@pytest.mark.usefixtures("_no_pulumi")
def test_up_shows_the_plan_in_process_and_starts_the_service(folder: Path, port: int) -> None:
    with console.capture() as captured:
        assert up.main(["--folder", str(folder), "--port", str(port)]) == Exit.OK
    said = captured.get()
    assert re.search(r"^no pulumi command: .*there is no pulumi on PATH.*$", said, re.M)
    assert re.search(r"dev  \d+ resources, in process", said)
    assert local_service.readiness(f"http://127.0.0.1:{port}") == (True, "ready")
    assert not (folder / ".embedded").exists()


def test_a_service_that_stops_at_once_is_refused_with_its_own_words(
    folder: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_POOL_MAX_SIZE", "many")
    with pytest.raises(Refused, match="AGENT_POOL_MAX_SIZE='many'") as refusal:
        local_service.start(folder / ".run", port, silent)
    assert refusal.value.code == Exit.BAD_INPUT
    assert local_service.running(folder / ".run") is None


def test_a_process_that_got_the_services_old_id_is_not_taken_for_it(folder: Path, port: int) -> None:
    (folder / ".run").mkdir()
    other = psutil.Process()
    (folder / ".run" / "service.json").write_text(f'{{"pid": {other.pid}, "port": {port}}}')
    assert local_service.running(folder / ".run") is None
    assert local_service.stop(folder / ".run", silent) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x", "port": 1}', '{"port": 1}'])
def test_a_damaged_record_of_the_service_counts_as_none(folder: Path, text: str) -> None:
    (folder / "service.json").write_text(text)
    assert local_service.running(folder) is None


def test_another_port_moves_the_service_there(folder: Path, port: int) -> None:
    first = local_service.start(folder / ".run", port, silent)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        other = int(probe.getsockname()[1])
    with console.capture() as captured:
        up.serve(folder / ".run", other)
    assert f"is ready at http://127.0.0.1:{other}" in captured.get()
    assert not psutil.pid_exists(first.pid) or psutil.Process(first.pid).status() == psutil.STATUS_ZOMBIE
    assert local_service.readiness(first.address)[0] is False


def test_down_leaves_a_database_alone_that_another_service_still_uses(folder: Path, port: int) -> None:
    local_service.start(folder / ".run", port, silent)
    record = folder / ".run" / "service.json"
    text = record.read_text()
    record.unlink()  # as if it had been started by hand
    with pytest.raises(Refused, match="still uses this database"):
        down.main(["--folder", str(folder)])
    assert local_service.readiness(f"http://127.0.0.1:{port}")[0]
    record.write_text(text)


def test_down_refuses_a_protected_stack_and_names_the_lever() -> None:
    resources = [{"urn": "urn:pulumi:prod::langgraph-eks::aws:rds/instance:Instance::database", "protect": True}]
    with pytest.raises(
        Refused, match=r"Instance database.*langgraph-eks:teardown to true in Pulumi\.prod\.yaml"
    ) as refusal:
        down.refuse_protected("prod", resources)
    assert refusal.value.code == Exit.STATE
