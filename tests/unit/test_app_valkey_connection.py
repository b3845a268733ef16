"""Where Valkey is and who we are there, read from a URL; and the token that IAM takes for a password."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runtime.valkey_connection import ValkeyConnection, iam_token, read_valkey_url


@pytest.mark.parametrize(
    ("url", "connection"),
    [
        ("redis://localhost", ValkeyConnection("localhost", tls=False)),
        ("valkey://10.0.0.7:6380/3", ValkeyConnection("10.0.0.7", 6380, tls=False, database=3)),
        ("rediss://:p%40ss@cache.example/", ValkeyConnection("cache.example", password="p@ss")),
        ("valkeys://agent:word@[::1]:7000", ValkeyConnection("::1", 7000, user="agent", password="word")),
    ],
)
def test_a_url_says_where_valkey_is_and_who_we_are(url: str, connection: ValkeyConnection) -> None:
    assert read_valkey_url(url) == connection


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "its scheme is none of redis, valkey, rediss, valkeys"),
        ("secret-word", "its scheme is none of"),
        ("http://:secret-word@host", "its scheme is none of"),
        ("rediss://", "it names no host"),
        ("rediss://:secret-word@", "it names no host"),
        ("rediss://:secret-word@host:port", "not a URL with a port from 1 to 65535"),
        ("rediss://:secret-word@host:65536", "not a URL with a port from 1 to 65535"),
        ("rediss://:secret-word@host:0", "port 0"),
        ("rediss://:secret-word@[::1", "not a URL"),
        ("rediss://:secret-word@host/cache", "its path is not the number of a database"),
        ("rediss://:secret-word@host?ssl_cert_reqs=none", "it has options"),
        ("rediss://agent@host", "a user without a password"),
    ],
)
def test_a_url_that_says_something_else_is_refused_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        read_valkey_url(url)
    assert "secret-word" not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_a_cache_of_iam_needs_tls_a_user_a_region_and_no_password() -> None:
    cache = read_valkey_url("rediss://agent@host:6379", "our-cache", "eu-central-1")
    assert (cache.iam_cache, cache.iam_region, cache.user, cache.tls) == ("our-cache", "eu-central-1", "agent", True)
    for url, region, reason in (
        ("redis://agent@host", "eu-central-1", "TLS only"),
        ("rediss://host", "eu-central-1", "names no user"),
        ("rediss://agent:secret-word@host", "eu-central-1", "has a password"),
        ("rediss://agent@host", None, "needs the region"),
    ):
        with pytest.raises(ValueError, match=reason):
            read_valkey_url(url, "our-cache", region)


@given(st.text())
def test_any_text_is_a_connection_or_a_refusal(text: str) -> None:
    for url in (text, "rediss://" + text):
        with suppress(ValueError):
            assert read_valkey_url(url).host


def test_the_token_is_a_signed_request_to_connect_for_fifteen_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the ElastiCache user guide describes it; the signature is computed here a second time, from the SigV4 rules."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of/a+session")
    token = iam_token(read_valkey_url("rediss://agent@host", "our-cache", "eu-central-1"))
    assert token.startswith("our-cache/?Action=connect&User=agent&X-Amz-")
    query = dict(parse_qsl(urlsplit("https://" + token).query))
    assert (query["X-Amz-Expires"], query["X-Amz-Security-Token"]) == ("900", "of/a+session")
    signature = query.pop("X-Amz-Signature")
    owner, date, *scope = query["X-Amz-Credential"].split("/")
    assert (owner, scope) == ("an-id", ["eu-central-1", "elasticache", "aws4_request"])

    canonical = "&".join(f"{quote(name, '-_.~')}={quote(value, '-_.~')}" for name, value in sorted(query.items()))
    request = f"GET\n/\n{canonical}\nhost:our-cache\n\nhost\n{hashlib.sha256(b'').hexdigest()}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{'/'.join((date, *scope))}\n{digest}"
    key = b"AWS4a-key"
    for part in (date, *scope, to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    assert signature == key.hex()
