"""Who is let in by a token, and who is not, and why."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import assume, given
from hypothesis import strategies as st

from app.security.caller import Caller
from app.security.rejections import Rejected
from app.security.sign_in_settings import SignInSettings
from app.security.tokens import SharedSecret, Tokens
from tests.issuer import AUDIENCE, Signer, claims_of, ec_signer, rsa_signer

ISSUER = "https://issuer.example.com"
OURS = rsa_signer("ours")
KEYS = {"ours": OURS, "elliptic": ec_signer("elliptic")}
SECRET = "s" * 32


class PublishedKeys:
    """Those of KEYS, without an issuer."""

    async def get(self, kid: str | None) -> Any:
        if kid not in KEYS:
            raise Rejected("unknown_key")
        return jwt.PyJWK(KEYS[kid].public())


def checked(token: str, **settings: Any) -> Caller:
    chosen = SignInSettings(auth="on", auth_issuer=ISSUER, auth_audience=(AUDIENCE,), **settings)
    keys = SharedSecret(chosen) if chosen.auth_secret_file else PublishedKeys()
    return asyncio.run(Tokens(chosen, keys).caller(token))


def reason(token: str, **settings: Any) -> str:
    with pytest.raises(Rejected) as rejected:
        checked(token, **settings)
    return rejected.value.reason


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def token(**claims: Any) -> str:
    return OURS.token(claims_of(ISSUER, **claims))


def test_a_token_of_the_issuer_names_user_and_scopes() -> None:
    caller = checked(token(user="ada", scope="read openid run"))
    assert (caller.tenant, caller.user, caller.scopes) == ("", "ada", frozenset({"read", "run"}))
    assert caller.expires_at == pytest.approx(time.time() + 3600 + 30, abs=5)


def test_a_time_in_digits_is_one() -> None:
    assert checked(token(exp=str(int(time.time()) + 60))).expires_at == pytest.approx(time.time() + 90, abs=5)


def test_an_elliptic_key_is_taken_when_the_settings_say_so() -> None:
    made = ec_signer("elliptic").token(claims_of(ISSUER))
    assert checked(made, auth_algorithm="ES256").user == "ada"
    assert reason(made) == "wrong_algorithm"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": int(time.time()) - 60}, "expired"),
        ({"nbf": int(time.time()) + 600}, "not_yet_valid"),
        ({"iat": int(time.time()) + 600}, "not_yet_valid"),
        ({"aud": "billing"}, "wrong_audience"),
        ({"aud": ["billing", "shop"]}, "wrong_audience"),
        ({"iss": "https://issuer.example.com.evil.example"}, "wrong_issuer"),
        ({"exp": None}, "incomplete"),
        ({"aud": None}, "incomplete"),
        ({"iss": None}, "incomplete"),
        ({"user": None}, "incomplete"),
        ({"user": ""}, "incomplete"),
        ({"user": "a\0b"}, "incomplete"),
        ({"user": "u" * 300}, "incomplete"),
        ({"exp": float("inf")}, "malformed"),
        ({"exp": [1]}, "malformed"),
        ({"exp": 10**400}, "malformed"),
    ],
)
def test_a_claim_that_is_wrong_is_told_by_its_class(claims: dict[str, Any], expected: str) -> None:
    assert reason(token(**claims)) == expected


@given(st.integers(min_value=-120, max_value=120), st.sampled_from([0, 30, 120]))
def test_clocks_may_differ_by_the_leeway_and_no_more(late: int, leeway: int) -> None:
    assume(abs(late - leeway) > 2)  # seconds pass while this runs
    ended = token(exp=int(time.time()) - late)
    if late < leeway:
        assert checked(ended, auth_leeway_seconds=leeway).user == "ada"
    else:
        assert reason(ended, auth_leeway_seconds=leeway) == "expired"


def test_no_algorithm_of_the_tokens_own_choice_is_taken() -> None:
    claims, header = claims_of(ISSUER), {"typ": "JWT", "kid": "ours"}
    public = OURS.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for alg in ("none", "None", "NONE", "HS256", "RS512", "PS256", "ES256", None, 7):
        forged = f"{encoded({**header, 'alg': alg})}.{encoded(claims)}."
        assert reason(forged) in {"wrong_algorithm", "malformed"}
    # The classic: the public key taken for an HMAC secret.
    for secret in (public, public.strip(), json.dumps(OURS.public()).encode()):
        forged = jwt.PyJWS().encode(json.dumps(claims).encode(), base64.urlsafe_b64encode(secret), "HS256", header)
        assert reason(forged) == "wrong_algorithm"
        renamed = ".".join((encoded({**header, "alg": "RS256"}), *forged.split(".")[1:]))
        assert reason(renamed) == "bad_signature"


def test_a_key_that_the_token_brings_along_is_not_used() -> None:
    forger = rsa_signer("forger")
    brought = {"jwk": forger.public(), "jku": "https://evil.example/keys", "kid": "ours"}
    assert reason(forger.token(claims_of(ISSUER), **brought)) == "bad_signature"
    assert reason(forger.token(claims_of(ISSUER))) == "unknown_key"


@given(st.data())
def test_a_token_that_was_tampered_with_is_never_taken(data: st.DataObject) -> None:
    genuine = token(user="ada")
    position = data.draw(st.integers(0, len(genuine) - 1))
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.="))
    tampered = genuine[:position] + letter + genuine[position + 1 :]
    try:
        caller = checked(tampered)
    except Rejected:
        return
    # Only the last letter of a signature has bits that mean nothing.
    assert (caller.user, tampered[:-1]) == ("ada", genuine[:-1])


@given(st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text(max_size=8), max_size=4), st.text())
def test_claims_may_not_be_changed_by_anybody_else(others: dict[str, Any], user: str) -> None:
    head, _, signature = token(user="ada").split(".")
    changed = {**claims_of(ISSUER, user=user), **others}
    assert reason(f"{head}.{encoded(changed)}.{signature}") in {"bad_signature", "malformed"}


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")) | st.just("[" * 100_000))
def test_whatever_is_no_token_is_malformed(text: str) -> None:
    assert reason(text) == "malformed"


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_a_header_or_payload_of_any_json_is_refused_without_an_error(value: Any) -> None:
    part = base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    header = encoded({"alg": "RS256", "kid": "ours"})
    assert reason(f"{part}.{encoded(claims_of(ISSUER))}.AAAA") in {"malformed", "wrong_algorithm"}
    assert reason(f"{header}.{part}.AAAA") in {"bad_signature", "malformed"}


def test_deeply_nested_json_is_refused_without_an_error() -> None:
    deep = base64.urlsafe_b64encode(b'{"alg":' + b"[" * 5000 + b"]" * 5000 + b"}").rstrip(b"=").decode()
    assert reason(f"{deep}.{deep}.AAAA") == "malformed"


@pytest.mark.parametrize(
    ("settings", "claims", "expected"),
    [
        (
            {"auth_tenant_claim": "org", "auth_user_claim": "email"},
            {"org": "acme", "email": "a@b.c"},
            ("acme", "a@b.c"),
        ),
        ({"auth_tenant_claim": "https://a.example/org"}, {"https://a.example/org": "acme"}, ("acme", "ada")),
        ({"auth_tenant_claim": "app.org"}, {"app": {"org": "acme"}}, ("acme", "ada")),
    ],
)
def test_settings_say_which_claims_name_tenant_and_user(
    settings: dict[str, Any], claims: dict[str, Any], expected: tuple[str, str]
) -> None:
    caller = checked(token(**claims), **settings)
    assert (caller.tenant, caller.user) == expected


def test_a_token_without_the_tenant_is_of_none() -> None:
    assert reason(token(), auth_tenant_claim="org") == "incomplete"
    assert reason(token(org=7), auth_tenant_claim="org") == "incomplete"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"realm_access": {"roles": ["agent/use", "other"]}}, {"read", "run"}),
        ({"realm_access": {"roles": "ops"}}, {"admin"}),
        ({"realm_access": ["ops"]}, set[str]()),
        ({"scope": "read run admin"}, set[str]()),
    ],
)
def test_settings_say_which_claim_gives_which_scopes(claims: dict[str, Any], expected: set[str]) -> None:
    names = ("agent/use=read", "agent/use=run", "ops=admin")
    made = token(**claims)
    assert checked(made, auth_scopes_claim="realm_access.roles", auth_scope_names=names).scopes == expected
    granted = checked(made, auth_scopes_claim="nothing", auth_default_scopes=("read",)).scopes
    assert granted == {"read"}


def test_a_shared_secret_is_for_development_and_takes_nothing_but_hs256(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    settings: dict[str, Any] = {"auth_algorithm": "HS256", "auth_secret_file": file}
    claims = claims_of(ISSUER)
    assert checked(jwt.encode(claims, SECRET, "HS256"), **settings).user == "ada"
    assert reason(jwt.encode(claims, "t" * 32, "HS256"), **settings) == "bad_signature"
    assert reason(Signer("ours", OURS.key).token(claims), **settings) == "wrong_algorithm"
    file.write_text("t" * 32)  # followed without a restart
    assert reason(jwt.encode(claims, SECRET, "HS256"), **settings) == "bad_signature"
