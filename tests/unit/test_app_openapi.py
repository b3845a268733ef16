"""The OpenAPI document tells a client's author what there is to know."""

from __future__ import annotations

from typing import Any

import pytest

from app.api.application import create_app
from app.settings import Settings


@pytest.fixture(scope="module")
def operations() -> dict[str, dict[str, Any]]:
    """By "METHOD path"."""
    paths = create_app(Settings()).openapi()["paths"]
    return {f"{method.upper()} {path}": entry for path, methods in paths.items() for method, entry in methods.items()}


def test_every_operation_has_an_id_of_its_own_and_says_what_it_does(operations: dict[str, dict[str, Any]]) -> None:
    ids = [entry["operationId"] for entry in operations.values()]
    assert len(set(ids)) == len(ids)
    assert all("__" not in name and name == name.lower() for name in ids)
    silent = [name for name, entry in operations.items() if not entry.get("description") and "metrics" not in name]
    assert silent == []


def test_streams_are_events_and_all_else_is_json(operations: dict[str, dict[str, Any]]) -> None:
    for name, entry in operations.items():
        for status, answer in entry["responses"].items():
            media = set(answer.get("content", {}))
            if name.endswith("/metrics"):
                continue
            streams = name.endswith(("/stream", "/stream/events")) and status == "200"
            assert media <= {"text/event-stream" if streams else "application/json"}, (name, status)


def test_an_answer_that_follows_a_run_says_where_the_run_is(operations: dict[str, dict[str, Any]]) -> None:
    of_runs = [name for name in operations if name != "GET /threads/{thread_id}/stream"]
    following = [name for name in of_runs if name.endswith(("/stream", "/wait", "/join", "/execute"))]
    assert len(following) == 7
    for name in following:
        assert set(operations[name]["responses"]["200"]["headers"]) == {"Content-Location", "Location"}


def test_every_route_of_data_tells_its_errors_in_one_shape(operations: dict[str, dict[str, Any]]) -> None:
    for name, entry in operations.items():
        if not name.split(" ")[1].startswith(("/threads", "/runs", "/assistants", "/workflow")):
            continue
        for status in ("404", "409", "422", "429", "503"):
            schema = entry["responses"][status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (name, status)
