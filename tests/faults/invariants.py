"""What must hold when the dust has settled, read from the tables and from what clients were told; never from logs."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg.rows import DictRow, dict_row

from tests.faults.clients import Caller

STEPS = 5  # of project/five.py
TOKEN = re.compile(r"(\d):([0-9a-f]{32})")

Event = tuple[int, str, Any]


LATE_SECONDS = 5.0  # by then a process that was frozen has noticed what it lost


@dataclass(frozen=True)
class Thaw:
    """A process that was frozen goes on, at this time of the database's clock."""

    process: int
    at: datetime

    def explains(self, effect: DictRow) -> bool:
        """The step was in progress when the process froze: nothing but its own code could have held it back."""
        return effect["process"] == self.process and 0 <= (effect["at"] - self.at).total_seconds() < LATE_SECONDS


@dataclass
class Findings:
    """`violations` are broken promises, each a sentence. The rest is told, not judged."""

    violations: list[str] = field(default_factory=list[str])
    repeated_steps: int = 0  # interrupted before they were stored, so they had to be done again
    late_effects: int = 0  # of steps that a frozen process was in, and that another did meanwhile
    failures: int = 0  # workers or connections lost under runs
    attempts: int = 0

    def broken(self, sentence: str) -> None:
        self.violations.append(sentence)


def rows(url: str, query: LiteralString, values: Sequence[Any] = ()) -> list[DictRow]:
    with psycopg.Connection[DictRow].connect(url, autocommit=True, row_factory=dict_row) as connection:
        return connection.execute(query, values).fetchall()


async def all_ended(url: str, seconds: float) -> bool:
    """Waits until no run is pending or running."""
    end = time.monotonic() + seconds
    query = "SELECT count(*) AS open FROM runs WHERE status IN ('pending', 'running')"
    while time.monotonic() < end:
        try:
            if rows(url, query)[0]["open"] == 0:
                return True
        except psycopg.OperationalError:
            pass  # it is what is being tried
        await asyncio.sleep(0.1)
    return False


def examine(url: str, effects_url: str, callers: Sequence[Caller], thaws: Sequence[Thaw] = ()) -> Findings:
    """Everything that is promised about runs of the graph `five` that were all left to end."""
    found = Findings()
    runs = {str(row["run_id"]): row for row in rows(url, "SELECT * FROM runs WHERE graph_id = 'five'")}
    _examine_runs(found, runs, callers)
    _examine_threads(found, rows(url, "SELECT thread_id, status FROM threads WHERE graph_id = 'five'"))
    states = _examine_histories(found, _histories(url), runs, callers)
    _examine_effects(found, rows(effects_url, "SELECT * FROM effects ORDER BY id"), runs, states, thaws)
    _examine_events(found, _events(url), runs, states, callers)
    return found


def _examine_runs(found: Findings, runs: Mapping[str, DictRow], callers: Sequence[Caller]) -> None:
    for run_id, row in runs.items():
        found.failures += row["failures"]
        found.attempts += row["fence"]
        if row["status"] != "success":
            found.broken(f"run {run_id} is {row['status']} (attempt {row['fence']}, error {row['error']})")
    known = {caller.run_id for caller in callers}
    for caller in callers:
        if caller.run_id not in runs:
            found.broken(f"run {caller.run_id} was accepted, and is in no table")
    for run_id in runs.keys() - known:
        found.broken(f"run {run_id} is one that no client knows of")


def _examine_threads(found: Findings, threads: Sequence[DictRow]) -> None:
    for row in threads:
        if row["status"] != "idle":
            found.broken(f"thread {row['thread_id']} is {row['status']} though nothing runs on it")


def _histories(url: str) -> dict[str, list[CheckpointTuple]]:
    """Every checkpoint of every thread, newest first, read by LangGraph's own saver."""
    found: dict[str, list[CheckpointTuple]] = defaultdict(list)
    with PostgresSaver.from_conn_string(url) as saver:
        for checkpoint in saver.list(None):
            found[_configurable(checkpoint)["thread_id"]].append(checkpoint)
    return found


def _configurable(checkpoint: CheckpointTuple) -> dict[str, Any]:
    return checkpoint.config.get("configurable", {})


def _values(checkpoint: CheckpointTuple) -> dict[str, list[str]]:
    return checkpoint.checkpoint["channel_values"]


def _examine_histories(
    found: Findings,
    histories: Mapping[str, Sequence[CheckpointTuple]],
    runs: Mapping[str, DictRow],
    callers: Sequence[Caller],
) -> dict[str, dict[int, str]]:
    """Each thread's history is one line from its first input to its last step. Returns run → step → token as kept."""
    states: dict[str, dict[int, str]] = {}
    for caller in callers:
        history = histories.get(caller.thread_id)
        if not history or caller.run_id not in runs:
            found.broken(f"thread {caller.thread_id} has no history")
            continue
        _examine_line(found, caller.thread_id, history)
        newest = _values(history[0])
        if newest.get("said") != [caller.said]:
            found.broken(f"thread {caller.thread_id}: its input was applied as {newest.get('said')}")
        kept = [TOKEN.fullmatch(step) for step in newest.get("steps", [])]
        numbers = [int(step[1]) for step in kept if step]
        if numbers != list(range(1, STEPS + 1)):
            found.broken(f"thread {caller.thread_id}: its steps are {numbers}")
        states[caller.run_id or ""] = {int(step[1]): step[2] for step in kept if step}
        ever = {step for checkpoint in history for step in _values(checkpoint).get("steps", [])}
        if lost := ever - set(newest.get("steps", [])):
            found.broken(f"thread {caller.thread_id}: completed steps were lost or done again: {sorted(lost)}")
    return states


def _examine_line(found: Findings, thread_id: str, history: Sequence[CheckpointTuple]) -> None:
    parents = Counter(
        parent.get("configurable", {}).get("checkpoint_id")
        for parent in (checkpoint.parent_config for checkpoint in history)
        if parent
    )
    if forks := [parent for parent, children in parents.items() if children > 1]:
        found.broken(f"thread {thread_id}: its history forks at {forks}")
    if _configurable(history[0])["checkpoint_id"] in parents:
        found.broken(f"thread {thread_id}: its newest checkpoint is not its last")


def _examine_effects(
    found: Findings,
    effects: Iterable[DictRow],
    runs: Mapping[str, DictRow],
    states: Mapping[str, dict[int, str]],
    thaws: Sequence[Thaw],
) -> None:
    """A step may be done again only if what it did first was never stored."""
    done: dict[tuple[str, int], list[DictRow]] = defaultdict(list)
    for row in effects:
        done[row["run_id"], row["step"]].append(row)
    for run_id in {run_id for run_id, _ in done} - runs.keys():
        found.broken(f"run {run_id} had effects, and was never accepted")
    for run_id, kept in states.items():
        for step, token in kept.items():
            tokens = [row["token"] for row in done[run_id, step]]
            if token not in tokens:
                found.broken(f"run {run_id}: step {step} is in the state without its effect")
                continue
            found.repeated_steps += tokens.index(token)
            for row in done[run_id, step][tokens.index(token) + 1 :]:
                if any(thaw.explains(row) for thaw in thaws):
                    found.late_effects += 1
                else:
                    found.broken(f"run {run_id}: step {step} was executed again after it had been completed")


def _events(url: str) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for row in rows(url, "SELECT run_id, id, event, data FROM run_events ORDER BY run_id, id"):
        found[str(row["run_id"])].append((row["id"], row["event"], json.loads(bytes(row["data"]))))
    return found


def _examine_events(
    found: Findings,
    events: Mapping[str, Sequence[Event]],
    runs: Mapping[str, DictRow],
    states: Mapping[str, dict[int, str]],
    callers: Sequence[Caller],
) -> None:
    for caller in callers:
        run_id = caller.run_id
        if run_id is None or run_id not in states or caller.kind == "wait":
            continue
        stored = events.get(run_id, [])
        ids = [number for number, _, _ in stored]
        if ids != list(range(1, len(ids) + 1)):
            found.broken(f"run {run_id}: the ids of its events are {ids}")
        if (seen := undisturbed(stored, states[run_id], caller.said)) != EXPECTED:
            found.broken(f"run {run_id} (attempt {runs[run_id]['fence']}): {difference(seen)}")
        if caller.kind == "stream":
            _examine_stream(found, caller, stored)


def _examine_stream(found: Findings, caller: Caller, stored: Sequence[Event]) -> None:
    told: list[Event] = [(int(part.id or 0), part.event, part.data) for part in caller.parts if part.event != "end"]
    if told != list(stored):
        ids = [number for number, _, _ in told]
        found.broken(f"run {caller.run_id}: its client was told {ids}, stored are {len(stored)} events")
    if [part.event for part in caller.parts].count("end") != 1 or caller.parts[-1].event != "end":
        found.broken(f"run {caller.run_id}: its stream has not exactly one end, at the end")


def undisturbed(stored: Sequence[Event], kept: Mapping[int, str], said: str) -> list[tuple[str, str]]:
    """The events as they would be if nothing had happened: without the marks of new attempts and what those redid."""
    shown: list[tuple[str, str]] = []
    for _, event, data in stored:
        if event == "metadata":
            if not shown:
                shown.append((event, ""))
            continue
        shared = {key: value for key, value in data.items() if key != "pause"}  # that is each caller's own
        text = json.dumps(shared, sort_keys=True)
        if any(kept.get(int(number)) != token for number, token in TOKEN.findall(text)):
            continue  # of an execution that was interrupted before it was stored
        shown.append((event, TOKEN.sub(r"\1", text).replace(said, "SAID")))
    return shown


def _expected() -> list[tuple[str, str]]:
    """What project/five.py shows in the modes values and updates."""

    def values(steps: int) -> tuple[str, str]:
        state = {"said": ["SAID"], "steps": [str(number) for number in range(1, steps + 1)]}
        return "values", json.dumps(state, sort_keys=True)

    shown = [("metadata", ""), values(0)]
    for number in range(1, STEPS + 1):
        shown += [("updates", json.dumps({f"step_{number}": {"steps": [str(number)]}})), values(number)]
    return shown


EXPECTED = _expected()


def difference(seen: Sequence[tuple[str, str]]) -> str:
    missing, surplus = Counter(EXPECTED) - Counter(seen), Counter(seen) - Counter(EXPECTED)
    if not missing and not surplus:
        return "its events are in another order"
    return f"its events lack {list(missing.elements())} and repeat {list(surplus.elements())}"
