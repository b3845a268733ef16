"""The service's settings: one environment variable each, named in `app/contract.py`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from app import contract
from app.failures import Refused
from app.runtime.sessions import Sessions, SessionsSetting
from app.runtime.valkey_connection import ValkeyConnection, read_valkey_url
from app.runtime.webhook_signature import read_secrets
from app.security.limit_settings import LimitSettings, comma_separated
from app.security.sign_in_settings import SignInSettings

CHECKOUT = Path(__file__).resolve().parents[1]
PREFIX = "AGENT_"


Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/\s?#@]+)$")]
Host = Annotated[str, Field(pattern=r"^[a-z0-9.:-]+$", max_length=253)]
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9_]+:\S+$")]


class Settings(SignInSettings, LimitSettings):
    """Each field's description is the remedy shown when its value is refused."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True, extra="forbid")

    port: int = Field(default=contract.PORT, ge=0, le=65535, description="Set a TCP port, or 0 for any free one.")
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Set a TCP port for metrics alone, or 0 to serve them on the API's port."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Set DEBUG, INFO, WARNING or ERROR."
    )
    config: Path = Field(default=CHECKOUT / "langgraph.json", description="Set the path of a langgraph.json file.")

    database_url: SecretStr | None = Field(
        default=None,
        description="Set a PostgreSQL URL such as postgresql://user@host:5432/name, or leave it out on a laptop.",
    )
    database_direct_url: SecretStr | None = Field(
        default=None,
        description="Set a URL past the pooler when AGENT_DATABASE_URL names one, or leave it out.",
    )
    database_password_file: Path | None = Field(
        default=None,
        description="Set the path of a readable file that holds the password; it is read at every connection.",
    )
    data_directory: Path = Field(
        default=CHECKOUT / ".run" / "postgres", description="Set a writable directory for the embedded PostgreSQL."
    )
    pool_min_size: int = Field(default=1, ge=0, le=1000, description="Set the connections to keep open.")
    pool_max_size: int = Field(default=10, ge=2, le=1000, description="Set the most connections to open, at least 2.")
    pool_timeout_seconds: float = Field(
        default=5, gt=0, le=60, description="Set how long a request waits for a connection."
    )
    prepare_threshold: int | None = Field(
        default=0,
        ge=0,
        description="Set 0, or the word null behind a transaction-mode pooler that cannot prepare statements.",
    )

    model: ModelName | None = Field(
        default=None, description="Set provider:model as LangChain names it, or leave it out for the local engine."
    )
    model_fallbacks: Annotated[tuple[ModelName, ...], NoDecode, BeforeValidator(comma_separated)] = Field(
        default=(), description="Set provider:model names separated by commas, in the order to try them."
    )
    # 60: a superstep has to end within contract.DRAIN_SECONDS (75).
    model_timeout_seconds: float = Field(
        default=30, gt=0, le=60, description="Set the seconds one model call may take."
    )

    valkey_url: SecretStr | None = Field(
        default=None,
        description="Set a URL such as rediss://user@host:6379, or leave it out: PostgreSQL then does all waking.",
    )
    valkey_iam_cache: str | None = Field(
        default=None, description="Set the ElastiCache replication group whose tokens IAM signs, or leave it out."
    )
    valkey_iam_region: str | None = Field(
        default=None, description="Set the region of AGENT_VALKEY_IAM_CACHE, such as us-east-1."
    )

    processes: int = Field(
        default=1, ge=1, le=64, description="Set how many processes serve the port; about one for each CPU."
    )
    worker_slots: int = Field(default=64, ge=1, le=10_000, description="Set how many runs a process executes at once.")
    queue_limit: int = Field(
        default=10_000, ge=1, le=10_000_000, description="Set how many runs may wait before new ones get 429."
    )

    event_retention_seconds: float = Field(
        default=3600, gt=0, description="Set for how long after a run's end its stream can be read again."
    )
    run_retention_seconds: float | None = Field(
        default=30 * 86_400, gt=0, description="Set for how long ended runs are listed, or the word null for ever."
    )
    sessions: SessionsSetting = Field(
        default=Sessions(),
        description='Set JSON such as {"idle_seconds": 2592000, "absolute_seconds": null, "tenants": {"acme":'
        ' {"idle_seconds": 86400}}}: threads are deleted so long after their last change, or after they were made.',
    )
    checkpoint_retention_seconds: float | None = Field(
        default=None,
        gt=0,
        description="Set after how long without a change a thread keeps only its newest checkpoint, or null for never.",
    )

    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(comma_separated)] = Field(
        default=(),
        description="Set origins separated by commas, such as https://chat.example.com, or * for any; browsers on"
        " other origins are refused.",
    )
    max_body_bytes: int = Field(
        default=1_048_576, ge=1024, le=104_857_600, description="Set the largest request, in bytes."
    )
    recursion_limit: int = Field(default=50, ge=1, le=10_000, description="Set the most steps one run may take.")
    run_timeout_seconds: float = Field(default=300, gt=0, le=86_400, description="Set the seconds one run may take.")
    drain_seconds: float = Field(
        default=contract.DRAIN_SECONDS,
        ge=0,
        le=3600,
        description="Set how long to wait for running requests when stopping.",
    )

    webhook_secret_file: Path | None = Field(
        default=None,
        description="Set the path of a file with a secret that signs webhooks, whsec_ and 24 to 64 bytes in base64, on"
        " a line; a second line is the one before it. Without the file webhooks are not signed.",
    )
    webhook_private_hosts: Annotated[tuple[Host, ...], NoDecode, BeforeValidator(comma_separated)] = Field(
        default=(),
        description="Set host names or addresses separated by commas that webhooks may reach although they are private,"
        " and without TLS.",
    )

    @field_validator("prepare_threshold", "run_retention_seconds", "checkpoint_retention_seconds", mode="before")
    @classmethod
    def _null_word(cls, value: object) -> object:
        return None if value == "null" else value

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _readable_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                conninfo_to_dict(value.get_secret_value())
            except ProgrammingError:
                # libpq quotes the text it could not read, password included.
                raise ValueError("not a PostgreSQL connection string") from None
        return value

    @field_validator("database_password_file", "webhook_secret_file")
    @classmethod
    def _existing_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("no such file")
        return value

    @field_validator("webhook_secret_file")
    @classmethod
    def _usable_secrets(cls, value: Path | None) -> Path | None:
        if value is not None:
            read_secrets(value.read_text())
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.pool_min_size > self.pool_max_size:
            raise ValueError(
                f"{contract.ENV_POOL_MIN_SIZE}={self.pool_min_size}: more than"
                f" {contract.ENV_POOL_MAX_SIZE}={self.pool_max_size}. Lower the first or raise the second."
            )
        try:
            self.valkey()
        except ValueError as failure:
            raise ValueError(
                f"{contract.ENV_VALKEY_URL}: {failure}. Set a URL such as rediss://user@host:6379, and for IAM"
                f" {contract.ENV_VALKEY_IAM_CACHE} and {contract.ENV_VALKEY_IAM_REGION}."
            ) from None
        if self.database_password_file and not self.database_url:
            raise ValueError(
                f"{contract.ENV_DATABASE_PASSWORD_FILE} is set without {contract.ENV_DATABASE_URL}."
                " Set the URL, without a password."
            )
        return self

    def valkey(self) -> ValkeyConnection | None:
        """Where Valkey is, when one is configured."""
        if self.valkey_url is None:
            return None
        return read_valkey_url(self.valkey_url.get_secret_value(), self.valkey_iam_cache, self.valkey_iam_region)

    @property
    def models(self) -> tuple[str, ...]:
        """The models to try in order; empty means the local engine alone."""
        return (*((self.model,) if self.model else ()), *self.model_fallbacks)


def load_settings(**overrides: object) -> Settings:
    """Settings from the process environment and the command line; refuses what it does not know."""
    _refuse_unknown_variables(os.environ)
    given = {name: value for name, value in overrides.items() if value is not None}
    for variable, ours in contract.OTHER_NAMES.items():
        if os.environ.get(variable) and not os.environ.get(ours):
            given.setdefault(ours.removeprefix(PREFIX).lower(), os.environ[variable])
    try:
        return Settings(**cast("dict[str, Any]", given))
    except ValidationError as failure:
        raise Refused("\n".join(_explain(error) for error in failure.errors(include_url=False))) from None


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else "Unset it."
            raise Refused(f"{name}: no such setting. {hint}")


def _explain(error: Mapping[str, Any]) -> str:
    rule = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return rule
    name = str(error["loc"][0])
    # A database URL may hold a password.
    value = "" if name.endswith("_url") else f"={error['input']!r}"
    return f"{PREFIX}{name.upper()}{value}: {rule}. {Settings.model_fields[name].description}"
