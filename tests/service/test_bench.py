"""`python -m app bench`, as short as it can be: that it measures, and what it writes. No figure is judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.bench.client import Answer
from app.bench.levels import Level
from app.bench.report import reached
from app.bench.targets import Kind, is_whole
from app.bench.workload import STEPS
from app.settings import CHECKOUT, PREFIX


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "BENCH_"))}
    return subprocess.run(
        [sys.executable, "-m", "app", "bench", *options],
        cwd=CHECKOUT,
        env=clean,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def figures(folder: Path, *options: str) -> dict[str, Any]:
    file = folder / "figures.json"
    done = bench(*options, "--json", str(file))
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text())


def test_targets_are_measured_side_by_side_and_a_peer_that_is_not_installed_is_named(folder: Path) -> None:
    found = figures(folder, "--targets", "ours; plain; aegra", "--seconds", "0.1", "--repeats", "1")

    assert {(level["target"], level["kind"], level["clients"]) for level in found["levels"]} == {
        (target, kind, clients)
        for target in ("ours", "plain")
        for kind, clients in (("wait", 1), ("wait", 16), ("wait", 64), ("stream", 1), ("stream", 64))
    }
    for level in found["levels"]:
        assert level["runs"] > 0
        assert level["errors"] == level["unfinished"] == 0
        seen = level["figures"]
        assert seen["server_cpu_ms"] > 0
        assert seen["checkpoint_rows"] > STEPS
        assert (seen["first_event_p50_ms"] is not None) == (level["kind"] == "stream")
        assert (seen["event_rows"] > 0) == (level["kind"] == "stream" and level["target"] == "ours")
    assert "--peer aegra" in found["left_out"]["aegra"]
    ratios = [aim for aim in found["aims"] if aim["others"]]
    assert [aim["others"] for aim in ratios] == [["plain"]]
    assert all(len(aim["values"]) == 1 for aim in found["aims"])


def test_people_with_pauses_keep_their_threads(folder: Path) -> None:
    found = figures(folder, "--users", "4", "--seconds", "3")

    assert found["users"]["error_rate"] == 0
    assert found["users"]["turns"] >= 4


def test_pruning_and_deletion_give_back_what_runs_added(folder: Path) -> None:
    found = figures(folder, "--memory", "400")["memory"]

    sizes = [
        found["database_mib"],
        found["database_mib_after_prune_and_VACUUM FULL"],
        found["database_mib_after_deletion_and_VACUUM FULL"],
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert found["database_bytes_per_run"] > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--targets", "theirs"), "'theirs'"), (("--peer", "aegra=/nowhere/python"), "--peer aegra=/nowhere/python")],
)
def test_a_target_or_peer_that_does_not_exist_is_refused(options: tuple[str, ...], words: str) -> None:
    done = bench(*options)

    assert done.returncode == 2
    assert words in done.stderr


WHOLE = {"question": "a", "answer": "a", "notes": ["x"] * STEPS}


@pytest.mark.parametrize(
    ("kind", "status", "body", "whole"),
    [
        ("wait", 200, WHOLE, True),
        ("wait", 200, {"result": WHOLE}, True),
        ("wait", 500, WHOLE, False),
        ("wait", 200, WHOLE | {"answer": "b"}, False),
        ("wait", 200, WHOLE | {"notes": ["x"]}, False),
        ("wait", 200, {"question": "a"}, False),
        ("wait", 200, {"__error__": {"error": "run_failed"}}, False),
        ("wait", 200, [], False),
    ],
)
def test_only_the_final_state_of_the_run_that_was_asked_for_counts(
    kind: Kind, status: int, body: object, *, whole: bool
) -> None:
    assert is_whole(kind, Answer(status, [orjson.dumps(body)]), "a") is whole


def test_a_stream_counts_by_its_last_values() -> None:
    first, last = (b"event: values\ndata: %s\n\n" % orjson.dumps(state) for state in ({"question": "a"}, WHOLE))

    assert is_whole("stream", Answer(200, [first, last, b"event: end\ndata: null\n\n"]), "a")
    assert not is_whole("stream", Answer(200, [last, first]), "a")
    assert not is_whole("stream", Answer(200, [b": heartbeat\n\n"]), "a")


def test_a_ratio_compares_within_a_repeat_and_with_the_best_of_several() -> None:
    def level(target: str, repeat: int, speed: float) -> Level:
        return Level(
            target,
            "wait",
            64,
            repeat,
            1,
            0,
            0,
            {"runs_per_second": speed, "server_cpu_ms": 1.0, "runs_per_cpu_second": None},
        )

    speeds = {"ours": (100.0, 60.0), "aegra": (20.0, 10.0), "langhost": (40.0, 8.0)}
    levels = [level(target, repeat, speed) for target, pair in speeds.items() for repeat, speed in enumerate(pair)]

    (peers,) = [aim["values"] for aim in reached(levels) if aim["others"]]

    assert peers == [6.0, 2.5]
