"""Requests made up from the service's own OpenAPI document: whatever a user sends, often with the ids of another's
things, the service answers as it says, never with a 500, and tells and changes nothing of the other's. Without a
token, nothing at all.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import psycopg
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr
from schemathesis import checks as general
from schemathesis.specs.openapi import checks as openapi

from app.api.application import create_app
from app.security.middleware import OPEN
from app.settings import Settings
from tests.service.signed_in import Access, bearer, signed_in

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


# Their answers have no end: the first part says enough.
LASTING = {"/threads/{thread_id}/stream", "/threads/{thread_id}/stream/events"}


@dataclass(frozen=True)
class Fuzzed:
    """The service, its document, and a user whose things nobody else may see."""

    access: Access
    document: Any

    def adas(self) -> dict[str, Any]:
        ada = bearer(self.access.token())
        thread = f"/threads/{self.access.adas.thread_id}"
        return {path: self.access.client.get(path, headers=ada).json() for path in (thread, f"{thread}/history")}

    def leaked(self, answer: Any) -> list[str]:
        """What the answer names of ada's that was not in its request."""
        sent = f"{answer.request.url} {answer.request.body}"
        return [name for name, value in vars(self.access.adas).items() if value in answer.text and value not in sent]


@pytest.fixture(scope="module")
def fuzzed(postgres_url: str) -> Generator[Fuzzed]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS fuzzed WITH (FORCE)")
        connection.execute("CREATE DATABASE fuzzed")
    url = make_conninfo(postgres_url, dbname=DATABASE)
    with signed_in(url, recursion_limit=20, run_timeout_seconds=5) as access:
        described = f"{access.client.base_url}/openapi.json"
        document: Any = schemathesis.openapi.from_url(described, headers=dict(bearer(access.token())))
        yield Fuzzed(access, document)


def settings_of(examples: int) -> hypothesis_settings:
    return hypothesis_settings(
        max_examples=examples,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        derandomize=True,
    )


def operations() -> list[tuple[str, str]]:
    paths = create_app(Settings(database_url=SecretStr("postgresql://nowhere/none"))).openapi()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods]


@pytest.mark.parametrize(("method", "path"), operations())
def test_no_request_breaks_the_service_or_reaches_what_is_anothers(fuzzed: Fuzzed, method: str, path: str) -> None:
    headers = bearer(fuzzed.access.token("eve"))
    before = fuzzed.adas()
    known = [{}, vars(fuzzed.access.adas)]
    if path in LASTING:  # a made-up id follows nothing
        known.append(vars(fuzzed.access.make(fuzzed.access.token("eve"))))

    @given(fuzzed.document[path][method].as_strategy(), st.sampled_from(known))
    @settings_of(EXAMPLES)
    def answers_as_it_says(case: Any, things: Mapping[str, str]) -> None:
        if isinstance(case.body, dict):
            _make_it_run(cast("dict[str, Any]", case.body))
        _put(case.path_parameters, things)
        _put(case.body, things)
        answer = _first_part(case, headers) if path in LASTING else case.call(timeout=ANSWER_SECONDS, headers=headers)
        case.validate_response(answer, checks=CHECKS)
        assert fuzzed.leaked(answer) == []

    answers_as_it_says()
    assert fuzzed.adas() == before


@pytest.mark.parametrize(("method", "path"), [key for key in operations() if key[1] not in OPEN])
def test_without_a_token_no_request_gets_further_than_the_sign_in(fuzzed: Fuzzed, method: str, path: str) -> None:
    @given(fuzzed.document[path][method].as_strategy())
    @settings_of(3)
    def is_refused(case: Any) -> None:
        answer = case.call(timeout=ANSWER_SECONDS)
        case.validate_response(answer, checks=CHECKS)
        assert answer.status_code == 401

    is_refused()


def _first_part(case: Any, headers: Mapping[str, str]) -> requests.Response:
    sent = case.as_transport_kwargs(headers=dict(headers))
    with requests.request(**sent, stream=True, timeout=ANSWER_SECONDS) as answer:
        answer._content = next(answer.iter_content(None), b"")  # pyright: ignore[reportPrivateUsage]  as requests itself sets it once it has read to the end
    return answer


def _put(part: Any, things: Mapping[str, str]) -> None:
    """Another's ids where ids belong."""
    if isinstance(part, dict):
        named = cast("dict[str, Any]", part)
        named.update({name: things[name] for name in named if name in things})


def _make_it_run(body: dict[str, Any]) -> None:
    if body.get("after_seconds"):
        body["after_seconds"] = 0  # the answer to a run of next year would come next year
    if isinstance(body.get("assistant_id"), str) and len(body["assistant_id"]) % 2:
        body["assistant_id"] = "stepwise"  # a made-up name never gets further than the look-up
