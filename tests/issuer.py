"""An OpenID issuer on loopback: its keys can be rotated, and it can go away and come back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "agents"


@dataclass(frozen=True)
class Signer:
    """A key of an issuer."""

    kid: str
    key: Any
    algorithm: str = "RS256"

    def public(self) -> dict[str, Any]:
        to_jwk: Any = RSAAlgorithm.to_jwk if self.algorithm == "RS256" else ECAlgorithm.to_jwk
        return {**to_jwk(self.key.public_key(), as_dict=True), "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def token(self, claims: dict[str, Any], **headers: Any) -> str:
        return jwt.encode(claims, self.key, self.algorithm, headers={"kid": self.kid, **headers})


@cache  # a key takes a tenth of a second
def rsa_signer(kid: str) -> Signer:
    return Signer(kid, rsa.generate_private_key(65537, 2048))


@cache
def ec_signer(kid: str) -> Signer:
    return Signer(kid, ec.generate_private_key(ec.SECP256R1()), "ES256")


def claims_of(issuer: str, user: str = "ada", scope: str = "read run", **others: Any) -> dict[str, Any]:
    """Of a token for an hour; a claim given as None is left out."""
    now = int(time.time())
    usual = {"iss": issuer, "aud": AUDIENCE, "sub": user, "scope": scope, "iat": now, "exp": now + 3600}
    return {name: value for name, value in {**usual, **others}.items() if value is not None}


@dataclass
class Issuer:
    """Publishes the keys of its signers; the last one signs."""

    url: str
    signers: list[Signer] = field(default_factory=lambda: [rsa_signer("first")])
    away: bool = False
    asked: int = 0  # how often for keys

    def token(self, user: str = "ada", scope: str = "read run", **others: Any) -> str:
        return self.signers[-1].token(claims_of(self.url, user, scope, **others))


@contextmanager
def issuer() -> Generator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/keys":
                made.asked += 1
            documents: dict[str, Any] = {
                "/.well-known/openid-configuration": {"issuer": made.url, "jwks_uri": f"{made.url}/keys"},
                "/keys": {"keys": [signer.public() for signer in made.signers]},
            }
            self.send_response(503 if made.away else 200)
            self.end_headers()
            self.wfile.write(json.dumps({} if made.away else documents[self.path]).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name in the standard library
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Issuer(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
