"""What is applied is what was reviewed: each thing that may change in between is refused with its reason."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stacks.delivery.binding import Bound, bind, read, verify
from stacks.delivery.drift import look
from stacks.embedded.engine import Completed, Event
from stacks.review.changes import Change, Property
from stacks.terminal import Exit, Refused

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
URN = "urn:pulumi:prod::langgraph-eks::aws:rds/instance:Instance::database"
CHANGES = [Change(URN, "aws:rds/instance:Instance", "database", "update", (Property("instanceClass", "a", "b"),))]
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}


def state(ciphertext: str = "v1:one", **inputs: Any) -> dict[str, Any]:
    row = {"urn": URN, "id": "db", "inputs": {"size": 1, "password": {**SECRET, "ciphertext": ciphertext}, **inputs}}
    return {"deployment": {"manifest": {"time": ciphertext}, "resources": [{**row, "modified": ciphertext}]}}


def bound(at: datetime = NOW, **changed: Any) -> Bound:
    parts: dict[str, Any] = {
        "stack": "prod",
        "commit": "c1",
        "config": {"a": "1"},
        "state": state(),
        "changes": CHANGES,
        "made": at,
    }
    return bind(**{**parts, **changed})


def test_what_has_not_changed_is_applied_though_times_and_ciphertext_differ() -> None:
    verify(bound(), bound(state=state("v1:two")), NOW + timedelta(hours=23), bound().digest)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({"commit": "c2"}, "the commit has changed"),
        ({"config": {"a": "2"}}, "the configuration has changed"),
        ({"state": state(size=2)}, "the state has changed"),
        ({"changes": [replace(CHANGES[0], operation="replace")]}, "the preview has changed"),
        ({"changes": [replace(CHANGES[0], properties=())]}, "the preview has changed"),
        ({"stack": "dev"}, "another stack"),
    ],
)
def test_what_changed_is_refused_with_its_reason(now: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        verify(bound(), bound(**now), NOW)


@pytest.mark.parametrize("age", [timedelta(hours=24, seconds=1), timedelta(seconds=-1)])
def test_a_plan_of_another_day_is_refused(age: timedelta) -> None:
    with pytest.raises(Refused, match="24 hours"):
        verify(bound(), bound(), NOW + age)


def test_a_plan_that_was_tampered_with_is_refused() -> None:
    forged = replace(bound(), made=(NOW + timedelta(hours=20)).isoformat())
    with pytest.raises(Refused, match="tampered"):
        verify(forged, bound(), NOW + timedelta(hours=30))
    resigned = replace(forged, digest=forged.expected_digest)
    with pytest.raises(Refused, match="tampered"):
        verify(resigned, bound(), NOW + timedelta(hours=30), bound().digest)


def test_a_plan_survives_its_file_and_a_broken_one_is_refused() -> None:
    assert read(json.dumps(asdict(bound()))) == bound()
    with pytest.raises(Refused, match="cannot be read"):
        read('{"stack": "prod"}')


def test_pending_operations_are_settled_first() -> None:
    pending = state()
    pending["deployment"]["pending_operations"] = [{}]
    with pytest.raises(Refused, match="pending"):
        bound(state=pending)


class Refreshing:
    """A target whose refresh says what it is told to."""

    stack = "dev"

    def __init__(self, *events: Event) -> None:
        self.events = events

    def run(self, arguments: Any, events: list[Event] | None = None) -> Completed:
        assert list(arguments) == ["refresh", "--preview-only"]
        if events is not None:
            events += self.events
        return Completed(0 if self.events else 255, "", "" if self.events else "no credentials")

    def config(self) -> dict[str, str]:
        return {}

    def with_image(self, image: str) -> Refreshing:
        return self


def step(operation: str) -> Event:
    metadata: dict[str, Any] = {
        "op": operation,
        "urn": URN,
        "type": "aws:rds/instance:Instance",
        "old": {"custom": True, "inputs": {}},
    }
    return {"resourcePreEvent": {"metadata": metadata}}


END: Event = {"summaryEvent": {"result": "succeeded"}}


@pytest.mark.parametrize(
    ("events", "code"),
    [([], Exit.MISSING), ([step("same"), END], Exit.OK), ([step("update"), END], Exit.FAILED), ([step("delete"), END], Exit.FAILED)],
)  # fmt: skip
def test_drift_is_told_from_a_look_that_was_not_possible(events: list[Event], code: Exit) -> None:
    seen = look(Refreshing(*events))
    assert seen.code == code
    assert ("not known" in seen.text()) == (code == Exit.MISSING)
