"""A run of the engine in one line: what its events come to."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.engine_events import Run, short_name
from tools.activity import silent

DATABASE = "urn:pulumi:dev::langgraph-eks::langgraph-eks:aws:Database$aws:rds/instance:Instance::database"
QUEUE = "urn:pulumi:dev::langgraph-eks::aws:sqs/queue:Queue::interruption"


def event(kind: str, urn: str, op: str = "create") -> dict[str, Any]:
    return {kind: {"metadata": {"urn": urn, "op": op, "new": {"custom": "langgraph-eks:aws:Database::" not in urn}}}}


def message(severity: str, text: str, **more: Any) -> dict[str, Any]:
    return {"diagnosticEvent": {"severity": severity, "message": text, "urn": DATABASE, **more}}


def run_of(*events: dict[str, Any], expected: int | None = None) -> Run:
    run = Run("pulumi up", silent, expected)
    for one in events:
        run.take(one)
    return run


def test_the_line_counts_what_is_finished_and_names_what_is_under_way() -> None:
    run = run_of(
        event("resourcePreEvent", QUEUE),
        event("resOutputsEvent", QUEUE),
        event("resourcePreEvent", DATABASE),
        expected=9,
    )
    assert run.text() == "pulumi up: 1 of 9 resources, now Instance database"


def test_before_the_first_resource_the_line_says_that_it_starts() -> None:
    assert run_of({"preludeEvent": {"config": {}}}, expected=9).text() == "pulumi up: starting"


def test_a_resource_that_stays_as_it_is_counts_but_is_never_under_way() -> None:
    started = run_of(event("resourcePreEvent", QUEUE, "same"))
    assert "now" not in started.text()
    started.take(event("resOutputsEvent", QUEUE, "same"))
    assert started.text() == "pulumi up: 1 resources"


def test_a_component_is_never_under_way_for_it_lasts_as_long_as_what_is_in_it() -> None:
    component = "urn:pulumi:dev::langgraph-eks::langgraph-eks:aws:Database::database"
    assert "now" not in run_of(event("resourcePreEvent", component)).text()


def test_a_failed_resource_is_counted_and_no_longer_under_way() -> None:
    run = run_of(event("resourcePreEvent", DATABASE), event("resOpFailedEvent", DATABASE))
    assert run.text() == "pulumi up: 0 resources, 1 failed"


def test_every_event_is_reported_with_how_much_is_done() -> None:
    reports: list[tuple[int, int | None]] = []
    run = Run("pulumi up", lambda _text, done, total: reports.append((done, total)), 2)
    for one in (event("resourcePreEvent", QUEUE), event("resOutputsEvent", QUEUE)):
        run.take(one)
    assert reports == [(0, 2), (1, 2)]


def test_the_engines_errors_and_warnings_are_kept_without_its_colour_marks() -> None:
    run = run_of(
        message("error", "<{%fg 1%}>creating: InvalidSubnet<{%reset%}>\n"),
        message("warning", "soon gone"),
        message("info", "hello"),
        message("error", "retrying", ephemeral=True),
        message("warning", "using pulumi-resource-aws from $PATH at /somewhere/bin/pulumi-resource-aws"),
    )
    assert run.messages == [
        "error: Instance database: creating: InvalidSubnet",
        "warning: Instance database: soon gone",
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"create": 3, "same": 1}, "3 created, 1 unchanged"),
        ({"same": 4}, "4 unchanged"),
        ({"discard": 2, "delete": 1}, "1 deleted, 2 discard"),
        ({}, "nothing to do"),
    ],
)
def test_the_summary_is_the_engines_own_count(changes: dict[str, int], told: str) -> None:
    assert run_of({"summaryEvent": {"resourceChanges": changes}}).summary() == told


def test_a_resource_goes_by_its_type_and_name_without_its_parents() -> None:
    assert short_name(DATABASE) == "Instance database"
    assert short_name(QUEUE) == "Queue interruption"
