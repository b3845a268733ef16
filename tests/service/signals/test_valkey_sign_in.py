"""Who we are to Valkey: passwords and tokens go to the right host alone, and into no log."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from valkey.exceptions import ValkeyError

from app.runtime.valkey_connection import ValkeyConnection, open_connection
from tests.service.backends import free_port, redis_server
from tests.service.signals.processes_with_signals import process, said, two_processes, woken
from tests.service.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_password_is_not_logged_nor_told(
    database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    with redis_server(["--requirepass", "right"]) as server:
        wrong = ValkeyConnection("127.0.0.1", server.port, tls=False, user="agent", password="secret-word")
        database = "host=127.0.0.1 port=1 user=agent password=secret-word"
        async with process(database, wrong) as one:
            await eventually(lambda: "AuthenticationError" in (one.reason_degraded() or ""))
            await eventually(lambda: "OperationalError" in (one.reason_degraded() or ""))
            assert "secret-word" not in str(one.reason_degraded()) + repr(wrong)
    assert "wake-ups cannot go through" in said(caplog)
    assert "secret-word" not in said(caplog)


# The access string of infra/aws/cache.py; what ElastiCache checks with IAM is any password here.
SERVICE_USER = (
    "agent on nopass ~agent:* &agent:* -@all +@read +@write +@stream +@pubsub +@connection +@scripting -@dangerous"
)


@contextmanager
def redis_of_elasticache(
    folder: Path, name_in_certificate: str, monkeypatch: pytest.MonkeyPatch
) -> Generator[ValkeyConnection]:
    """A Redis by TLS alone, whose certificate is trusted; how to reach it with a token of IAM."""
    certificate, key = make_certificate(folder, name_in_certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-key")
    port = free_port()
    tls = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"]
    arguments = ["--port", "0", "--tls-port", port, *tls, "--user", *SERVICE_USER.split(), "--user", "default", "off"]
    with redis_server([str(argument) for argument in arguments], port):
        yield ValkeyConnection("localhost", port, user="agent", iam_cache="our-cache", iam_region="eu-central-1")


async def test_signed_in_with_a_token_the_rights_that_the_platform_grants_are_enough(
    database_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with redis_of_elasticache(folder, "localhost", monkeypatch) as cache:
        async with two_processes(database_url, cache) as (one, other):
            with other.subscribe("t") as event:
                one.publish("t")
                await woken(event)
    assert "X-Amz-Signature" not in said(caplog)


async def test_a_token_is_not_sent_to_a_host_with_the_certificate_of_another(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        redis_of_elasticache(folder, "another-host", monkeypatch) as cache,
        pytest.raises(ValkeyError, match="certificate is not valid for 'localhost'"),
    ):
        await open_connection(cache)


def make_certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(host)])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, secret
