"""Requests made up from the service's own OpenAPI document: whatever is sent, it answers as it says, never with a 500."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, cast

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr
from schemathesis import checks as general
from schemathesis.specs.openapi import checks as openapi

from app.api.application import create_app
from app.settings import Settings
from tests.service.application import STEPWISE
from tests.service.sdk import served

DATABASE = "fuzzed"
EXAMPLES = 25  # of every operation; the long tier of `make soak` takes more
ANSWER_SECONDS = 20
# By name: schemathesis leaves the type of its cases open.
CHECKS: list[Any] = [
    getattr(module, name)
    for module, name in (
        (general, "not_a_server_error"),
        (openapi, "content_type_conformance"),
        (openapi, "response_schema_conformance"),
    )
]


# Their answers have no end.
LASTING = {"/threads/{thread_id}/stream", "/threads/{thread_id}/stream/events"}


@pytest.fixture(scope="module")
def document(postgres_url: str) -> Generator[Any]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS fuzzed WITH (FORCE)")
        connection.execute("CREATE DATABASE fuzzed")
    url = make_conninfo(postgres_url, dbname=DATABASE)
    limits: dict[str, Any] = {"recursion_limit": 20, "run_timeout_seconds": 5}
    with served(Settings(database_url=SecretStr(url), config=STEPWISE, **limits)) as base:
        yield schemathesis.openapi.from_url(f"{base}/openapi.json")


def operations() -> list[tuple[str, str]]:
    paths = create_app(Settings(database_url=SecretStr("postgresql://nowhere/none"))).openapi()["paths"]
    return [(method, path) for path, methods in paths.items() if path not in LASTING for method in methods]


@pytest.mark.parametrize(("method", "path"), operations())
def test_no_request_breaks_the_service(document: Any, method: str, path: str) -> None:
    @given(document[path][method].as_strategy())
    @hypothesis_settings(
        max_examples=EXAMPLES,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        derandomize=True,
    )
    def answers_as_it_says(case: Any) -> None:
        if isinstance(case.body, dict):
            _make_it_run(cast("dict[str, Any]", case.body))
        answer = case.call(timeout=ANSWER_SECONDS)
        case.validate_response(answer, checks=CHECKS)

    answers_as_it_says()


def _make_it_run(body: dict[str, Any]) -> None:
    if body.get("after_seconds"):
        body["after_seconds"] = 0  # the answer to a run of next year would come next year
    if isinstance(body.get("assistant_id"), str) and len(body["assistant_id"]) % 2:
        body["assistant_id"] = "stepwise"  # a made-up name never gets further than the look-up
