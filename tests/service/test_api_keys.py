"""API keys: made, used, listed and revoked, and never shown again."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Callable

import psycopg
import pytest

from app.security import sign_in
from tests.service.application import STEPWISE, OpenClient
from tests.service.processes import Services

pytestmark = pytest.mark.anyio

Keys = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def keys(services: Services, database_url: str) -> Keys:
    return lambda *arguments: services.command("keys", *arguments, database_url=database_url)


def of(key: str) -> dict[str, str]:
    return {"x-api-key": key}


async def test_a_key_opens_what_its_user_may_until_it_is_revoked(
    keys: Keys, open_client: OpenClient, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "REMEMBERED_SECONDS", 0.0)
    made = keys("create", "--user=ada", "--tenant=acme", "--scopes=run", "--name=nightly")
    key = made.stdout.strip()
    key_id = key.split("_")[1]
    async with open_client(auth="on", config=STEPWISE) as client:
        for headers in (of(key), {"authorization": f"Bearer {key}"}):
            assert (await client.post("/threads", json={}, headers=headers)).status_code == 200
            assert (await client.get("/info", headers=headers)).status_code == 403
        with psycopg.connect(database_url) as connection:
            assert connection.execute("SELECT tenant, owner FROM threads").fetchall() == [("acme", "ada")] * 2
            kept = str(connection.execute("SELECT * FROM api_keys").fetchall())
        assert key_id in kept
        assert key not in kept
        assert key.split("_", 2)[2] not in kept
        listed = json.loads(keys("list", "--json").stdout)
        assert [(row["key_id"], row["owner"], row["name"]) for row in listed] == [(key_id, "ada", "nightly")]
        assert listed[0]["last_used_at"] is not None
        assert keys("revoke", key_id).returncode == 0
        answer = await client.post("/threads", json={}, headers=of(key))
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "revoked")


async def test_a_key_that_is_not_quite_one_opens_nothing(keys: Keys, open_client: OpenClient) -> None:
    key = keys("create", "--user=ada").stdout.strip()
    another = "lgk_" + secrets.token_hex(8) + key[20:]
    last = "B" if key[4] == "a" else "a"
    wrong = {
        key[:-1]: "malformed",
        key + "A": "malformed",
        "lgk_": "malformed",
        "lsv2_pt_0123": "malformed",
        another: "unknown_key",
        key[:-5] + key[-5:].swapcase()[::-1]: "unknown_key",
        key[:4] + last + key[5:]: "unknown_key" if last == "a" else "malformed",
    }
    async with open_client(auth="on", config=STEPWISE) as client:
        for given, reason in wrong.items():
            answer = await client.get("/info", headers=of(given))
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, reason), given
        assert (await client.get("/info", headers=of(key))).status_code == 200


async def test_a_key_past_its_day_is_refused(keys: Keys, open_client: OpenClient, database_url: str) -> None:
    key = keys("create", "--user=ada", "--days=1").stdout.strip()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE api_keys SET expires_at = now() - interval '1 second'")
    async with open_client(auth="on", config=STEPWISE) as client:
        answer = await client.get("/info", headers=of(key))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "expired")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "--user=ada", "--scopes=everything"), "choose of admin, read, run"),
        (("create", "--user="), "1 to 256 printable"),
        (("create", "--user=ada", "--days=0"), "above 0"),
        (("revoke", "0123456789abcdef"), "no such key"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(keys: Keys, arguments: tuple[str, ...], words: str) -> None:
    done = keys(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""
