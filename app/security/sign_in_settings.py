"""Settings of sign-in: who may come, and what a token's claims mean here."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from app import contract
from app.security.caller import ALL_SCOPES, Scope
from app.security.limit_settings import comma_separated

SHORTEST_SECRET = 32  # bytes: RFC 7518 3.2, a key of at least the hash's size


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def safe_url(value: str) -> str:
    """Raises ValueError: keys that came in the clear could be anybody's."""
    parts = urlsplit(value)
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname))):
        raise ValueError("no https URL")
    return value


class SignInSettings(BaseSettings):
    """Each field's description is the remedy shown when its value is refused."""

    host: str = Field(
        default="127.0.0.1", description="Set an address to listen on; without sign-in only loopback is taken."
    )
    role: Literal["all", "api", "worker"] = Field(
        default="all", description="Set all for one process, or api and worker for processes apart."
    )

    auth: Literal["off", "on"] = Field(
        default="off", description="Set on, or off for a laptop; API keys work whenever it is on."
    )
    auth_issuer: str | None = Field(
        default=None, description="Set the iss of accepted tokens: the issuer's https URL, exactly as tokens have it."
    )
    auth_audience: Annotated[tuple[str, ...], NoDecode, BeforeValidator(comma_separated)] = Field(
        default=(), description="Set what aud has to name: one of these, separated by commas."
    )
    auth_jwks_url: str | None = Field(
        default=None, description="Set where the issuer's keys are, or leave it out: its discovery document says it."
    )
    auth_algorithm: Literal["RS256", "ES256", "HS256"] = Field(
        default="RS256", description="Set RS256 or ES256, as the issuer signs; HS256 goes with AGENT_AUTH_SECRET_FILE."
    )
    auth_secret_file: Path | None = Field(
        default=None, description="For development: set the path of a file with an HS256 secret of 32 bytes or more."
    )
    auth_leeway_seconds: float = Field(
        default=30, ge=0, le=120, description="Set by how many seconds the issuer's clock may differ, 120 at most."
    )
    auth_user_claim: str = Field(default="sub", min_length=1, description="Set the claim that names the user.")
    auth_tenant_claim: str | None = Field(
        default=None, description="Set the claim that names the tenant, or leave it out: all users are of one."
    )
    auth_scopes_claim: str = Field(
        default="scope", min_length=1, description="Set the claim with scopes or roles, such as realm_access.roles."
    )
    auth_scope_names: Annotated[tuple[str, ...], NoDecode, BeforeValidator(comma_separated)] = Field(
        default=("read=read", "run=run", "admin=admin"),
        description="Set claim=scope pairs separated by commas, such as agent/use=read,agent/use=run,ops=admin.",
    )
    auth_default_scopes: Annotated[tuple[Scope, ...], NoDecode, BeforeValidator(comma_separated)] = Field(
        default=(), description="Set what every token of the issuer may do, such as read,run."
    )
    auth_stream_grace_seconds: float = Field(
        default=60, ge=0, le=3600, description="Set for how long an answer goes on after its token's end."
    )

    @field_validator("auth_jwks_url")
    @classmethod
    def _safe_keys(cls, value: str | None) -> str | None:
        return value and safe_url(value)

    @field_validator("auth_secret_file")
    @classmethod
    def _long_secret(cls, value: Path | None) -> Path | None:
        if value is not None and (not value.is_file() or len(value.read_bytes().strip()) < SHORTEST_SECRET):
            raise ValueError(f"no file with {SHORTEST_SECRET} bytes or more")
        return value

    @field_validator("auth_scope_names")
    @classmethod
    def _known_scopes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pair in value:
            name, _, scope = pair.rpartition("=")
            if not name or scope not in ALL_SCOPES:
                raise ValueError(f"{pair!r} names none of {', '.join(sorted(ALL_SCOPES))} after its last =")
        return value

    @model_validator(mode="after")
    def _who_may_come(self) -> Self:
        if self.auth == "off":
            if self.auth_issuer or self.auth_secret_file:
                raise ValueError(
                    f"{contract.ENV_AUTH}=off: but {contract.ENV_AUTH_ISSUER} or {contract.ENV_AUTH_SECRET_FILE} is"
                    " set. Set AGENT_AUTH=on, or leave them out."
                )
            if self.role != "worker" and not is_loopback(self.host):
                raise ValueError(
                    f"{contract.ENV_HOST}={self.host}: without sign-in everybody who reaches this address could read"
                    f" and run everything. Set {contract.ENV_AUTH}=on with {contract.ENV_AUTH_ISSUER} and"
                    f" {contract.ENV_AUTH_AUDIENCE} (API keys alone need neither), or listen on 127.0.0.1."
                )
            return self
        if (self.auth_issuer is None) != (not self.auth_audience):
            raise ValueError(
                f"{contract.ENV_AUTH_ISSUER} and {contract.ENV_AUTH_AUDIENCE}: one is set without the other. A token"
                " is accepted by both. Set both."
            )
        if (self.auth_secret_file or self.auth_jwks_url) and self.auth_issuer is None:
            raise ValueError(
                f"{contract.ENV_AUTH_SECRET_FILE} or {contract.ENV_AUTH_JWKS_URL} is set without"
                f" {contract.ENV_AUTH_ISSUER}. Set the iss of the tokens."
            )
        if (self.auth_algorithm == "HS256") != (self.auth_secret_file is not None):
            raise ValueError(
                f"{contract.ENV_AUTH_ALGORITHM}={self.auth_algorithm}: HS256 goes with"
                f" {contract.ENV_AUTH_SECRET_FILE}, RS256 and ES256 without. Set both or none."
            )
        if self.auth_issuer and not self.auth_secret_file:
            try:
                safe_url(self.auth_issuer)
            except ValueError as failure:
                raise ValueError(
                    f"{contract.ENV_AUTH_ISSUER}={self.auth_issuer}: {failure}. Set the issuer's https URL."
                ) from None
        return self

    @property
    def signs_in(self) -> bool:
        return self.auth == "on" and self.role != "worker"

    @property
    def on_laptop(self) -> bool:
        """Not so for a worker of others: it signs nobody in itself, but runs what other machines' users asked for."""
        return self.auth == "off" and is_loopback(self.host)

    @property
    def sign_in_told(self) -> str:
        """For people, at the start."""
        if not self.signs_in:
            return "no sign-in: this machine only"
        ways = ["API keys"]
        if self.auth_issuer:
            secret = (
                f" ({self.auth_algorithm} by a shared secret: for development only)" if self.auth_secret_file else ""
            )
            ways.insert(0, f"tokens of {self.auth_issuer}{secret}")
        return "sign-in by " + " and ".join(ways)
