"""The service with sign-in, an issuer of tokens, and what a user has made there."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import uuid4

import httpx
from pydantic import SecretStr
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from app.settings import Settings
from tests.issuer import AUDIENCE, Issuer, issuer
from tests.service.access_rows import CRON, RUN, Row
from tests.service.application import STEPWISE
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
    item_key: str

    @classmethod
    def of_nobody(cls) -> Things:
        return cls(*(str(uuid4()) for _ in range(8)))

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
        if method == "WEBSOCKET":
            return self._handshake(path, token)
        request = self.client.build_request(
            method,
            path,
            json=things.filled(row.body) if row.body is not None else None,
            params=things.filled(row.query),
            headers=bearer(token),
        )
        answer = self.client.send(request, stream=row.lasts)
        if row.lasts and answer.is_success:
            answer.close()
        else:
            answer.read()
        return answer

    def _handshake(self, path: str, token: str | None) -> httpx.Response:
        try:
            with connect(f"ws{str(self.client.base_url).removeprefix('http')}{path}", additional_headers=bearer(token)):
                return httpx.Response(101)
        except InvalidStatus as refused:
            answer = refused.response
            return httpx.Response(
                answer.status_code, headers=list(answer.headers.raw_items()), content=bytes(answer.body or b"")
            )

    def item(self, token: str, key: str) -> Any:
        query = {"namespace": f"notes.{key}", "key": key}
        return self.client.get("/store/items", params=query, headers=bearer(token)).json()

    def make(self, token: str) -> Things:
        headers = bearer(token)
        thread_id = self.client.post("/threads", json={}, headers=headers).json()["thread_id"]
        ended = self.client.post(f"/threads/{thread_id}/runs", json=RUN, headers=headers).json()["run_id"]
        self.client.get(f"/threads/{thread_id}/runs/{ended}/join", headers=headers).raise_for_status()
        state = self.client.get(f"/threads/{thread_id}/state", headers=headers).json()
        later = {**RUN, "after_seconds": 3600, "on_completion": "keep"}
        delayed = self.client.post("/runs", json=later, headers=headers).json()
        checkpoint_id = state["checkpoint"]["checkpoint_id"]
        assistant = self.client.post("/assistants", json={"graph_id": "stepwise"}, headers=headers).json()
        cron = self.client.post("/runs/crons", json=CRON, headers=headers).json()
        key = str(uuid4())
        item = {"namespace": ["notes", key], "key": key, "value": {"of": "the owner"}}
        self.client.put("/store/items", json=item, headers=headers).raise_for_status()
        return Things(
            thread_id=thread_id,
            run_id=ended,
            checkpoint_id=checkpoint_id,
            delayed_thread_id=delayed["thread_id"],
            delayed_run_id=delayed["run_id"],
            assistant_id=assistant["assistant_id"],
            cron_id=cron["cron_id"],
            item_key=key,
        )


@contextmanager
def signed_in(database_url: str, **changes: Any) -> Generator[Access]:
    with issuer() as made:
        settings: dict[str, Any] = {
            "auth": "on",
            "auth_issuer": made.url,
            "auth_audience": (AUDIENCE,),
            "auth_tenant_claim": "org",
            "user_rate": None,
            "user_runs": 10_000,
            "user_crons": 10_000,
            **changes,
        }
        served_with = Settings(database_url=SecretStr(database_url), config=STEPWISE, **settings)
        with served(served_with) as address, httpx.Client(base_url=address, timeout=30) as client:
            yield Access(client, made)


def bearer(token: str | None) -> Mapping[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}
