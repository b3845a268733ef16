"""`make up` and `make down` as a user meets them: the real engine, a real service, a failure on the way."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from stacks.configuration import ROOT
from stacks.embedded.store import Store
from stacks.local_service import running
from stacks.up import serve
from tools.obtain import find

pytestmark = [
    pytest.mark.engine,
    pytest.mark.service,
    pytest.mark.timeout(580),
    pytest.mark.skipif(find("pulumi") is None, reason="no pulumi command: run make tools"),
]
FAILING = "aws:rds/instance:Instance"


def command(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AGENT_")}
    return subprocess.run(
        [sys.executable, "-m", f"stacks.{name}", "--folder", str(folder), *arguments],
        cwd=ROOT,
        env=environment | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Environment:
    folder: Path
    port: int
    failed: subprocess.CompletedProcess[str]
    up: subprocess.CompletedProcess[str]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """dev, up at the second try: its database could not be made at the first."""
    folder, port = tmp_path_factory.mktemp("up"), free_port()
    Store(folder / ".embedded" / "dev" / "cloud.sqlite").add_fault(FAILING, "create", after=False)
    failed = command("up", folder, "--port", str(port))
    yield Environment(folder, port, failed, command("up", folder, "--port", str(port)))
    command("down", folder)


def ask(printed: str) -> Any:
    """The answer to the curl line of a printed text, run by a shell as it stands."""
    [line] = re.findall(r"^\s+(curl .*)$", printed, re.M)
    assert shlex.split(line)[0] == "curl"
    result = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(result.stdout)


def test_a_failure_in_the_middle_ends_with_the_engines_words_and_without_a_service(environment: Environment) -> None:
    assert environment.failed.returncode == 1
    assert "error: Instance " in environment.failed.stderr
    assert "pulumi up of dev did not succeed" in environment.failed.stderr
    assert "the service is ready" not in environment.failed.stdout


def test_the_next_up_finishes_what_the_failed_one_began(environment: Environment) -> None:
    assert environment.up.returncode == 0, environment.up.stderr
    told = re.search(r"pulumi up of dev: (\d+) created, (\d+) unchanged", environment.up.stdout)
    assert told is not None
    assert int(told[1]) > 0
    assert int(told[2]) > 0


def test_up_says_what_there_is_where_it_is_kept_and_that_it_is_not_aws(environment: Environment) -> None:
    said = environment.up.stdout
    assert re.search(r"^aws:ec2 +\d+", said, re.M)
    assert re.search(r"^kubernetes:apps +\d+", said, re.M)
    assert re.search(r"^clusterName +agents-dev", said, re.M)
    assert str(environment.folder / ".embedded" / "dev") in said
    assert "It is not AWS" in said


def test_the_printed_curl_line_returns_an_answer(environment: Environment) -> None:
    answer = ask(environment.up.stdout)
    assert answer["result"]["answer"]["text"]
    assert answer["result"]["answer"]["engine"]["llm"] is False


def test_a_service_that_runs_is_kept(environment: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    before = running(environment.folder / ".run")
    serve(environment.folder / ".run", environment.port)
    assert "the service is running already" in capsys.readouterr().out
    assert running(environment.folder / ".run") == before


def test_after_kill_nine_up_again_changes_nothing_and_a_threads_history_is_there(environment: Environment) -> None:
    thread = ask(environment.up.stdout)["thread_id"]
    before = environment.get(f"/threads/{thread}/history")
    service = running(environment.folder / ".run")
    assert service is not None
    os.kill(service.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(service.pid)] if psutil.pid_exists(service.pid) else [], timeout=10)
    again = command("up", environment.folder, "--port", str(environment.port))
    assert again.returncode == 0, again.stderr
    assert re.search(r"pulumi up of dev: \d+ unchanged$", again.stdout, re.M)
    assert "the service is ready" in again.stdout
    assert environment.get(f"/threads/{thread}/history") == before


def test_down_removes_all_that_up_made_and_nothing_else(environment: Environment) -> None:
    beside = environment.folder / "beside"
    beside.write_text("mine")
    service = running(environment.folder / ".run")
    down = command("down", environment.folder)
    assert down.returncode == 0, down.stderr
    assert re.search(r"pulumi destroy of dev: \d+ deleted$", down.stdout, re.M)
    assert [path.name for path in environment.folder.iterdir()] == ["beside"]
    assert service is None or not psutil.pid_exists(service.pid)
    assert [p.pid for p in psutil.process_iter() if str(environment.folder) in " ".join(_command_line(p))] == []
    again = command("down", environment.folder)
    assert (again.returncode, again.stdout) == (0, "dev is not on the embedded cloud\n")


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_port_in_use_is_refused_with_its_holder_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        result = command("up", tmp_path, "--port", str(port))
    assert result.returncode == 3
    assert f"port={port}: in use by process {os.getpid()} (" in result.stderr
    assert "make up PORT=" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["up", "down"])
def test_an_unknown_stack_is_refused_with_the_known_ones(name: str, tmp_path: Path) -> None:
    result = command(name, tmp_path, "--stack", "staging")
    assert result.returncode == 2
    assert "Known stacks: dev, prod" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_memory_of_the_embedded_cloud_is_refused_and_kept(tmp_path: Path) -> None:
    memory = tmp_path / ".embedded" / "dev" / "cloud.sqlite"
    memory.parent.mkdir(parents=True)
    memory.write_bytes(b"not a database, but somebody's" * 100)
    for name in ("up", "down"):
        arguments = ["--port", str(free_port())] if name == "up" else []
        result = command(name, tmp_path, *arguments)
        assert result.returncode == 4
        assert str(memory) in result.stderr
    assert memory.read_bytes() == b"not a database, but somebody's" * 100
