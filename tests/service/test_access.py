"""Every route × whoever may ask: each gets what is right for them, and no route is left out."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from app.api.application import create_app
from app.settings import Settings
from tests.issuer import claims_of
from tests.service.access_rows import OPEN, ROWS, RUN
from tests.service.conftest import fresh_database
from tests.service.signed_in import ALL, Access, Things, bearer, signed_in


@pytest.fixture(scope="module")
def access(postgres_url: str) -> Generator[Access]:
    with fresh_database(postgres_url) as url, signed_in(url) as opened:
        yield opened


def routes() -> list[str]:
    found = iter_route_contexts(create_app(Settings()).routes)
    return [
        f"{method} {route.path_format}"
        for route in found
        for method in sorted(cast("set[str]", getattr(route, "methods", None) or {"WEBSOCKET"}) - {"HEAD"})
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
    token, ada = access.token(**other), bearer(access.token())
    before = access.client.get(f"/threads/{mine.thread_id}", headers=ada).json()
    answer = access.ask(key, row, mine, token)
    if row.others != "unknown":
        assert answer.status_code == row.status, answer.text
        sees = row.others == "tenant" and "user" in other
        assert any(value in answer.text for value in vars(mine).values()) == sees
        assert access.item(access.token(), mine.item_key)["value"] == {"of": "the owner"}
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
    mine, bob = access.adas, bearer(access.token("bob"))
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
            "/runs", json=RUN, headers={**bearer(access.token(user, tenant)), "idempotency-key": "order-1"}
        ).json()["run_id"]
        for user, tenant in (("ada", "acme"), ("bob", "acme"), ("ada", "rival"), ("ada", "acme"))
    ]
    assert len(set(found)) == 3
    assert found[0] == found[3]


def test_a_search_never_tells_how_much_others_have(access: Access) -> None:
    eve = bearer(access.token("eve"))
    assert access.adas
    answer = access.client.post("/threads/search", json={"limit": 1000}, headers=eve)
    assert (answer.json(), answer.headers["x-pagination-total"]) == ([], "0")
    assert access.client.post("/threads/count", json={}, headers=eve).json() == 0


def test_claims_of_one_token_are_not_those_of_the_next(access: Access) -> None:
    """What is remembered of a token is remembered for that token alone."""
    claims = claims_of(access.issuer.url, org="acme")
    first, second = (access.issuer.signers[0].token({**claims, "sub": user}) for user in ("one", "two"))
    thread_id = access.client.post("/threads", json={}, headers=bearer(first)).json()["thread_id"]
    for _ in range(2):
        assert access.client.get(f"/threads/{thread_id}", headers=bearer(first)).status_code == 200
        assert access.client.get(f"/threads/{thread_id}", headers=bearer(second)).status_code == 404


def test_a_service_with_sign_in_tells_no_webhook_on_its_own_machine(access: Access) -> None:
    body = {**RUN, "webhook": "http://127.0.0.1:9/runs"}
    refused = access.client.post("/runs", json=body, headers=bearer(access.token()))
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "webhook")
