"""The service as a process: killed, stopped, started twice, started wrongly."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from app.runtime.embedded_postgres import embedded_database
from app.settings import CHECKOUT
from tests.service.application import STEPWISE
from tests.service.processes import Running, Services
from tests.service.waiting import eventually_sync

HELLO = {"messages": [{"role": "user", "content": "hello"}]}


def history(service: Running, thread_id: str) -> object:
    return service.get(f"/threads/{thread_id}/history?limit=100").json()


def postmaster(services: Services) -> psutil.Process:
    return psutil.Process(int((services.folder / "postgres" / "postmaster.pid").read_text().splitlines()[0]))


def test_history_survives_kill_nine_and_the_database_left_running_is_used_again(services: Services) -> None:
    first = services.start("first")
    first.post("/workflow/execute", {"thread_id": "t", "input": HELLO})
    before = history(first, "t")
    database = postmaster(services)
    first.process.kill()
    first.process.wait()
    assert database.is_running()

    second = services.start("second")
    assert history(second, "t") == before
    assert postmaster(services) == database
    second.process.terminate()
    assert second.process.wait(30) == 0
    eventually_sync(lambda: not database.is_running())


def test_history_survives_when_the_database_was_killed_too(services: Services) -> None:
    first = services.start("first")
    first.post("/workflow/execute", {"thread_id": "t", "input": HELLO})
    before = history(first, "t")
    database = postmaster(services)
    first.process.kill()
    database.kill()
    first.process.wait()
    eventually_sync(lambda: not database.is_running())
    second = services.start("second")
    assert history(second, "t") == before


def test_a_pid_file_that_names_a_foreign_process_is_no_running_database(services: Services) -> None:
    first = services.start("first")
    first.post("/workflow/execute", {"thread_id": "t", "input": HELLO})
    before = history(first, "t")
    pid_file = services.folder / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    first.process.terminate()
    first.process.wait()
    pid_file.write_text("\n".join([str(psutil.Process().pid), *lines[1:]]) + "\n")
    second = services.start("second")
    assert history(second, "t") == before


def test_a_first_start_that_was_killed_is_followed_by_one_that_works(services: Services) -> None:
    unfinished = services.folder / "postgres.new"
    killed = subprocess.Popen(
        [sys.executable, "-m", "app", "serve"],
        cwd=CHECKOUT,
        env=services.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually_sync(unfinished.exists)
    killed.kill()
    killed.wait()
    assert not (services.folder / "postgres").exists()
    assert services.start().get("/ready").status_code == 200
    assert not unfinished.exists()


def test_a_run_goes_on_when_its_caller_hangs_up(services: Services, database_url: str) -> None:
    service = services.start(config=STEPWISE, database_url=database_url)
    reached, release = services.folder / "reached", services.folder / "release"
    body = {"thread_id": "t", "input": {"reached": str(reached), "release": str(release)}}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(service.url + "/workflow/execute", json=body, timeout=httpx.Timeout(10, read=1))
    eventually_sync(reached.exists)
    release.touch()
    eventually_sync(lambda: service.get("/threads/t/state").json()["next"] == [])
    assert service.get("/threads/t/state").json()["values"]["steps"] == ["first", "middle", "last"]


def test_stopping_the_database_leaves_one_in_use_alone_and_ends_that_of_a_killed_service(services: Services) -> None:
    running = services.start()
    assert "left as it is" in services.command("stop-database").stderr
    assert running.get("/ready").status_code == 200
    database = postmaster(services)
    running.process.kill()
    running.process.wait()
    done = services.command("stop-database")
    assert done.returncode == 0
    assert "is stopped" in done.stderr
    eventually_sync(lambda: not database.is_running())


def test_a_folder_may_have_a_name_that_a_shell_would_take_apart(folder: Path) -> None:
    for _ in ("a first start", "a second one"):
        with embedded_database(folder / "Ada's projects" / "postgres") as url, psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_two_first_starts_at_once_share_one_database_and_the_last_one_stops_it(services: Services) -> None:
    with ThreadPoolExecutor() as pool:
        one, other = pool.map(services.start, ["one", "other"])
    one.post("/workflow/execute", {"thread_id": "t", "input": HELLO})
    assert history(other, "t") == history(one, "t")
    database = postmaster(services)
    one.process.terminate()
    assert one.process.wait(30) == 0
    assert other.get("/ready").status_code == 200
    other.process.terminate()
    assert other.process.wait(30) == 0
    eventually_sync(lambda: not database.is_running())


def test_sigterm_ends_the_step_in_progress_and_the_next_start_goes_on_with_all_that_was_accepted(
    services: Services, database_url: str
) -> None:
    service = services.start("first", config=STEPWISE, database_url=database_url, worker_slots=1)
    reached, release = services.folder / "reached", services.folder / "release"
    body = {"thread_id": "t", "input": {"reached": str(reached), "release": str(release)}}
    with ThreadPoolExecutor() as pool:
        held = pool.submit(service.post, "/workflow/execute", body)
        eventually_sync(reached.exists)
        late = {"assistant_id": "stepwise", "input": {"steps": ["late"]}, "if_not_exists": "create"}
        accepted = service.post("/threads/late/runs", late)
        assert (accepted.status_code, accepted.json()["status"]) == (200, "pending")
        service.process.send_signal(signal.SIGTERM)
        eventually_sync(lambda: service.get("/ready").status_code == 503)
        assert service.get("/ready").json()["checks"]["process"] == {"ok": False, "reason": "stopping"}
        assert service.get("/health").status_code == 200
        assert service.post("/threads/later/runs", late).status_code == 503
        release.touch()
        handed_over = held.result()
        assert (handed_over.status_code, handed_over.json()["error"]["code"]) == (503, "handed_over")
        assert int(handed_over.headers["retry-after"]) > 0
    assert service.process.wait(30) == 0

    second = services.start("second", config=STEPWISE, database_url=database_url)
    assert second.get(handed_over.headers["location"]).json()["steps"] == ["first", "middle", "last"]
    joined = second.get(f"/threads/late/runs/{accepted.json()['run_id']}/join")
    assert joined.json()["steps"] == ["late", "first", "middle", "last"]


def test_a_run_that_outlasts_the_drain_is_cut_and_its_finished_steps_are_kept(
    services: Services, database_url: str
) -> None:
    service = services.start("first", config=STEPWISE, database_url=database_url, drain_seconds=0.2)
    reached = services.folder / "reached"
    body = {"thread_id": "t", "input": {"reached": str(reached), "release": str(services.folder / "never")}}
    outcome: list[object] = []

    def call() -> None:
        try:
            outcome.append(service.post("/workflow/execute", body).status_code)
        except httpx.HTTPError as failure:
            outcome.append(failure)

    caller = threading.Thread(target=call)
    caller.start()
    eventually_sync(reached.exists)
    service.process.terminate()
    assert service.process.wait(30) == 0
    caller.join(30)
    assert outcome
    assert outcome != [200]
    state = services.start("second", config=STEPWISE, database_url=database_url).get("/threads/t/state").json()
    assert (state["values"]["steps"], state["next"]) == (["first"], ["middle"])


def test_a_port_in_use_is_one_line_with_a_remedy_and_exit_code_three(services: Services) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for setting in ("port", "metrics_port"):
            refused = services.command("serve", **{setting: port})
            assert refused.returncode == 3
            assert f"AGENT_{setting.upper()}={port}: port {port}" in refused.stderr
            assert "Traceback" not in refused.stderr
            assert len(refused.stderr.strip().splitlines()) == 1


def test_metrics_have_a_port_of_their_own_when_asked(services: Services, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    service = services.start(metrics_port=port, database_url=database_url)
    assert "agent_active_workflows 0.0" in httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    assert service.get("/metrics").status_code == 404
    ready = json.loads((services.folder / "service.ready.json").read_text())
    assert ready == {"url": service.url, "metrics_url": f"http://127.0.0.1:{port}/metrics"}


def test_a_database_of_newer_code_is_refused_with_exit_code_four(services: Services, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE agent_migrations (version integer, compatible_from integer)")
        connection.execute("INSERT INTO agent_migrations VALUES (99, 99)")
    refused = services.command("serve", database_url=database_url)
    assert refused.returncode == 4
    assert "the database needs code of schema version 99" in refused.stderr


@pytest.mark.parametrize(("name", "content"), [("PG_VERSION", "17\n"), ("photos.zip", "x")])
def test_a_data_directory_that_is_not_ours_is_refused_and_left_alone(
    services: Services, name: str, content: str
) -> None:
    directory = services.folder / "postgres"
    directory.mkdir()
    (directory / name).write_text(content)
    refused = services.command("serve")
    assert refused.returncode == 4
    assert str(directory) in refused.stderr
    assert [path.name for path in directory.iterdir()] == [name]
    assert (directory / name).read_text() == content


def test_a_database_that_does_not_start_is_refused_with_what_tells_why(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "xx_YY")  # no locale of any machine: initdb fails, and writes no log
    refused = services.command("serve")
    assert refused.returncode == 1
    said = refused.stderr.splitlines()[-1]
    command = r".+/initdb'? "  # in quotes where the checkout's folder has a space
    assert re.search(rf"did not start \(CalledProcessError\)\. Run this for its reason: {command}", said)

    (services.folder / "postgres").mkdir()
    (services.folder / "postgres" / "PG_VERSION").write_text("18\n")  # and nothing else of a database
    found = re.search(r"Read (\S+) for its reason", services.command("serve").stderr)
    assert found
    assert "postgres" in Path(found[1]).read_text()


def test_it_starts_without_its_database_and_says_what_it_waits_for(services: Services) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    service = services.start(database_url=f"postgresql://nobody:secret-word@127.0.0.1:{port}/none")
    assert service.get("/health").status_code == 200
    ready = service.get("/ready")
    assert ready.status_code == 503
    assert "PostgreSQL" in ready.json()["checks"]["database"]["reason"]
    answer = service.post("/workflow/execute", {"input": HELLO})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    written = service.log.read_text() + (services.folder / "service.stderr").read_text() + ready.text + answer.text
    assert "secret-word" not in written


def test_the_printed_curl_line_works(services: Services) -> None:
    services.start()
    said = (services.folder / "service.stderr").read_text()
    body = said.split("-d '", 1)[1].rsplit("'", 1)[0]
    url = said.split("curl -s ", 1)[1].split(" ", 1)[0]
    answer = httpx.post(url, content=body, headers={"content-type": "application/json"}, timeout=30)
    assert answer.json()["result"]["answer"]["sources"][0]["id"] == "reset-password"
