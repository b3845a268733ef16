"""Keys that rotate, issuers that go away, tokens that end, and a service without sign-in on this machine only."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from app.security import issuer_keys
from tests.issuer import claims_of, rsa_signer
from tests.service.conftest import fresh_database
from tests.service.processes import Services
from tests.service.signed_in import Access, bearer, signed_in


@pytest.fixture
def access(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Generator[Access]:
    monkeypatch.setattr(issuer_keys, "ASK_AGAIN_SECONDS", 0.0)
    with signed_in(database_url, auth_stream_grace_seconds=0, auth_leeway_seconds=0) as opened:
        yield opened


def answered(access: Access, token: str) -> tuple[int, str | None]:
    answer = access.client.get("/info", headers=bearer(token))
    return answer.status_code, answer.json().get("error", {}).get("code")


def test_a_new_key_is_taken_without_a_restart_and_a_withdrawn_one_is_not(access: Access) -> None:
    first, second = access.issuer.signers[0], rsa_signer("second")
    assert answered(access, access.token()) == (200, None)
    access.issuer.signers.append(second)
    assert answered(access, access.token()) == (200, None)
    access.issuer.signers = [second, rsa_signer("third")]
    assert answered(access, access.token()) == (200, None)
    withdrawn = first.token(claims_of(access.issuer.url, "bob", org="acme"))
    assert answered(access, withdrawn) == (401, "unknown_key")


def test_while_the_issuer_is_away_its_last_keys_are_good(access: Access) -> None:
    assert answered(access, access.token()) == (200, None)
    access.issuer.away = True
    assert answered(access, access.token("another")) == (200, None)
    assert access.client.get("/ready").status_code == 200
    access.issuer.signers = [rsa_signer("second")]
    assert answered(access, access.token()) == (401, "unknown_key")


def test_a_process_that_never_had_the_issuers_keys_is_not_ready_and_lets_nobody_in(postgres_url: str) -> None:
    with fresh_database(postgres_url) as url, signed_in(url, auth_jwks_url="http://127.0.0.1:9/keys") as access:
        assert answered(access, access.token()) == (503, "sign_in_unavailable")
        ready = access.client.get("/ready")
        assert (ready.status_code, ready.json()["checks"]["sign_in"]["ok"]) == (503, False)


def test_a_stream_ends_with_its_token(access: Access, folder: Path) -> None:
    held = {"reached": str(folder / "reached"), "release": str(folder / "release")}
    body = {"assistant_id": "stepwise", "input": held}
    token = access.token(exp=int(time.time()) + 5)
    with pytest.raises(httpx.RemoteProtocolError):  # only an answer that has begun is cut
        access.client.post("/runs/stream", json=body, headers=bearer(token))
    (folder / "release").touch()


def test_without_sign_in_the_service_listens_on_loopback_only_and_says_so(
    services: Services, database_url: str
) -> None:
    refused = services.command("serve", host="0.0.0.0", port=0)  # noqa: S104  what is refused
    assert refused.returncode == 2
    assert "AGENT_AUTH=on" in refused.stderr
    running = services.start(database_url=database_url)
    assert httpx.URL(running.url).host == "127.0.0.1"
    assert "no sign-in: this machine only" in running.log.with_suffix(".stderr").read_text()
