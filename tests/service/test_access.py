"""Every route × whoever may ask: each gets what is right for them, and no route is left out."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from app.api.application import create_app
from app.settings import Settings
from tests.issuer import AUDIENCE, Issuer, claims_of, issuer
from tests.service.access_rows import CRON, OPEN, ROWS, RUN, Row
from tests.service.application import STEPWISE
from tests.service.conftest import fresh_database
from tests.service.sdk import served

ALL = "read run admin"


@dataclass(frozen=True)
class Things:
    """What a user has made: a thread with a run that ended, one with a run that is to start in an hour, and others."""

    thread_id: str
    run_id: str
    checkpoint_id: str
    delayed_thread_id: str
    delayed_run_id: str
    assistant_id: str
    cron_id: str

    @classmethod
    def of_nobody(cls) -> Things:
        return cls(*(str(uuid4()) for _ in range(7)))

    def filled(self, template: Any) -> Any:
        text = json.dumps(template)
        for name, value in vars(self).items():
            text = text.replace(f"{{{name}}}", value)
        return json.loads(text)


@dataclass
class Access:
    """The service with sign-in, and the issuer of its tokens."""

    client: httpx.Client
    issuer: Issuer

    @cached_property
    def adas(self) -> Things:
        """For all who may not change it, or do not."""
        return self.make(self.token())

    def token(self, user: str = "ada", tenant: str = "acme", scope: str = ALL, **claims: Any) -> str:
        return self.issuer.token(user, scope, org=tenant, **claims)

    def ask(self, key: str, row: Row, things: Things, token: str | None) -> httpx.Response:
        method, _, path = key.partition(" ")
        for name, value in {**{name: f"{{{name}}}" for name in vars(things)}, **row.path}.items():
            path = path.replace(f"{{{name}}}", f"<{value}>")
        path = things.filled(path.replace("<", "").replace(">", ""))
        return self.client.request(
            method,
            path,
            json=things.filled(row.body) if row.body is not None else None,
            params=things.filled(row.query),
            headers=_bearer(token),
        )

    def make(self, token: str) -> Things:
        headers = _bearer(token)
        thread_id = self.client.post("/threads", json={}, headers=headers).json()["thread_id"]
        ended = self.client.post(f"/threads/{thread_id}/runs", json=RUN, headers=headers).json()["run_id"]
        self.client.get(f"/threads/{thread_id}/runs/{ended}/join", headers=headers).raise_for_status()
        state = self.client.get(f"/threads/{thread_id}/state", headers=headers).json()
        later = {**RUN, "after_seconds": 3600, "on_completion": "keep"}
        delayed = self.client.post("/runs", json=later, headers=headers).json()
        checkpoint_id = state["checkpoint"]["checkpoint_id"]
        assistant = self.client.post("/assistants", json={"graph_id": "stepwise"}, headers=headers).json()
        cron = self.client.post("/runs/crons", json=CRON, headers=headers).json()
        return Things(
            thread_id=thread_id,
            run_id=ended,
            checkpoint_id=checkpoint_id,
            delayed_thread_id=delayed["thread_id"],
            delayed_run_id=delayed["run_id"],
            assistant_id=assistant["assistant_id"],
            cron_id=cron["cron_id"],
        )


@pytest.fixture(scope="module")
def access(postgres_url: str) -> Generator[Access]:
    with issuer() as made, fresh_database(postgres_url) as url:
        signed_in: dict[str, Any] = {
            "auth": "on",
            "auth_issuer": made.url,
            "auth_audience": (AUDIENCE,),
            "auth_tenant_claim": "org",
            "user_rate": None,
            "user_runs": 10_000,
        }
        settings = Settings(database_url=SecretStr(url), config=STEPWISE, **signed_in)
        with served(settings) as address, httpx.Client(base_url=address, timeout=30) as client:
            yield Access(client, made)


def _bearer(token: str | None) -> Mapping[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


def routes() -> list[str]:
    found = iter_route_contexts(create_app(Settings()).routes)
    return [
        f"{method} {route.path}"
        for route in found
        for method in sorted(cast("set[str]", getattr(route, "methods", None) or {"GET"}) - {"HEAD"})
    ]


def test_every_route_has_its_row() -> None:
    known = ROWS.keys() | OPEN
    assert sorted(set(routes()) - known) == [], "add them to tests/service/access_rows.py"
    assert sorted(known - set(routes())) == [], "take them out of tests/service/access_rows.py"


@pytest.mark.parametrize("key", sorted(OPEN))
def test_probes_and_metrics_are_open(access: Access, key: str) -> None:
    answer = access.client.get(key.partition(" ")[2])
    assert answer.status_code == 200


@pytest.mark.parametrize("key", ROWS)
def test_nobody_comes_in_without_a_valid_token(access: Access, key: str) -> None:
    row, nothing = ROWS[key], Things.of_nobody()
    forged = access.token().split(".")
    refused = {
        "no_token": None,
        "expired": access.token(exp=int(time.time()) - 60),
        "wrong_audience": access.token(aud="billing"),
        "wrong_algorithm": f"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{forged[1]}.",  # alg none
        "bad_signature": ".".join((*forged[:2], ("B" if forged[2][0] == "A" else "A") + forged[2][1:])),
        "incomplete": access.token(tenant=cast("Any", None)),
    }
    for reason, token in refused.items():
        answer = access.ask(key, row, nothing, token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, reason)
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("key", ROWS)
def test_the_right_user_needs_the_right_scope(access: Access, key: str) -> None:
    row = ROWS[key]
    things = access.make(access.token()) if row.scope == "run" else access.adas
    if row.scope:
        others = " ".join(sorted(set(ALL.split()) - {row.scope}))
        answer = access.ask(key, row, things, access.token(scope=others))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    answer = access.ask(key, row, things, access.token(scope=row.scope or ""))
    assert answer.status_code == row.status, answer.text
    assert not row.finds or getattr(things, row.finds) in answer.text


@pytest.mark.parametrize("key", ROWS)
@pytest.mark.parametrize("other", [{"user": "bob"}, {"tenant": "rival"}], ids=["another user", "another tenant"])
def test_what_is_anothers_is_as_if_it_were_not_there(access: Access, key: str, other: dict[str, str]) -> None:
    row, mine = ROWS[key], access.adas
    token, ada = access.token(**other), _bearer(access.token())
    before = access.client.get(f"/threads/{mine.thread_id}", headers=ada).json()
    answer = access.ask(key, row, mine, token)
    if row.others != "unknown":
        assert answer.status_code == row.status, answer.text
        sees = row.others == "tenant" and "user" in other
        assert any(value in answer.text for value in vars(mine).values()) == sees
        return
    assert answer.status_code == 404, answer.text
    nothing = Things.of_nobody()
    assert _without_ids(answer, mine) == _without_ids(access.ask(key, row, nothing, token), nothing)
    if "{run_id}" in key:  # by an id alone, through a thread of one's own
        own_thread = Things(**{**vars(mine), "thread_id": access.make(token).thread_id})
        assert access.ask(key, row, own_thread, token).status_code == 404
    assert access.client.get(f"/threads/{mine.thread_id}", headers=ada).json() == before


def _without_ids(answer: httpx.Response, things: Things) -> tuple[int, str]:
    text = answer.text.replace(answer.headers["x-request-id"], "request")
    for name, value in vars(things).items():
        text = text.replace(value, name)
    return answer.status_code, text


def test_an_id_that_another_has_taken_is_neither_shown_nor_run(access: Access) -> None:
    """Ids that clients choose are of one space: that one is taken can be seen, whose it is and what it holds not."""
    mine, bob = access.adas, _bearer(access.token("bob"))
    for if_exists in ("raise", "do_nothing"):
        body = {"thread_id": mine.thread_id, "if_exists": if_exists}
        assert access.client.post("/threads", json=body, headers=bob).status_code == 409
    runs = f"/threads/{mine.thread_id}/runs/wait"
    assert access.client.post(runs, json={**RUN, "if_not_exists": "create"}, headers=bob).status_code == 404
    at = {**RUN, "checkpoint": {"checkpoint_id": mine.checkpoint_id}}
    unknown = {**RUN, "checkpoint": {"checkpoint_id": str(uuid4())}}
    answers = [access.client.post(runs, json=body, headers=bob).json()["error"]["code"] for body in (at, unknown)]
    assert answers == ["unknown_thread"] * 2
    body: dict[str, Any] = {"thread_id": mine.thread_id, "graph": "stepwise", "input": {}}
    assert access.client.post("/workflow/execute", json=body, headers=bob).status_code == 404


def test_an_idempotency_key_is_its_owners(access: Access) -> None:
    found = [
        access.client.post(
            "/runs", json=RUN, headers={**_bearer(access.token(user, tenant)), "idempotency-key": "order-1"}
        ).json()["run_id"]
        for user, tenant in (("ada", "acme"), ("bob", "acme"), ("ada", "rival"), ("ada", "acme"))
    ]
    assert len(set(found)) == 3
    assert found[0] == found[3]


def test_a_search_never_tells_how_much_others_have(access: Access) -> None:
    eve = _bearer(access.token("eve"))
    assert access.adas
    answer = access.client.post("/threads/search", json={"limit": 1000}, headers=eve)
    assert (answer.json(), answer.headers["x-pagination-total"]) == ([], "0")
    assert access.client.post("/threads/count", json={}, headers=eve).json() == 0


def test_claims_of_one_token_are_not_those_of_the_next(access: Access) -> None:
    """What is remembered of a token is remembered for that token alone."""
    claims = claims_of(access.issuer.url, org="acme")
    first, second = (access.issuer.signers[0].token({**claims, "sub": user}) for user in ("one", "two"))
    thread_id = access.client.post("/threads", json={}, headers=_bearer(first)).json()["thread_id"]
    for _ in range(2):
        assert access.client.get(f"/threads/{thread_id}", headers=_bearer(first)).status_code == 200
        assert access.client.get(f"/threads/{thread_id}", headers=_bearer(second)).status_code == 404
