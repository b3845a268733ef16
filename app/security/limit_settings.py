"""The settings of limits: how often, how many at once, how long a client may take."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from app.security.buckets import Rate


def comma_separated(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class LimitSettings(BaseSettings):
    """Those of a user hold for callers who signed in, those of an address for clients on other machines."""

    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(comma_separated)] = (
        Field(
            default=(),
            description="Set the networks of your load balancers separated by commas, such as 10.0.0.0/20: their"
            " X-Forwarded-For is believed.",
        )
    )
    user_rate: float | None = Field(
        default=20, gt=0, le=100_000, description="Set requests a second of one user, or the word null for any."
    )
    user_burst: int = Field(default=100, ge=1, le=1_000_000, description="Set how many of them may come at once.")
    address_rate: float | None = Field(
        default=100, gt=0, le=100_000, description="Set requests a second of one address, or the word null for any."
    )
    address_burst: int = Field(default=500, ge=1, le=1_000_000, description="Set how many of them may come at once.")
    user_runs: int = Field(default=50, ge=1, description="Set how many unfinished runs a user may have.")
    user_crons: int = Field(default=100, ge=1, description="Set how many crons a user may have.")
    user_streams: int = Field(default=20, ge=1, description="Set how many streams a user may have open in one process.")
    user_waits: int = Field(
        default=100, ge=1, description="Set how many requests of a user may wait for the end of runs in one process."
    )
    process_streams: int = Field(
        default=2000, ge=1, description="Set how many streams and waits together a process may have open."
    )
    head_seconds: float = Field(
        default=15, gt=0, le=300, description="Set the seconds a client may take for a request's headers."
    )
    body_seconds: float = Field(
        default=30, gt=0, le=3600, description="Set the seconds a client may take for a request's body."
    )

    @field_validator("user_rate", "address_rate", mode="before")
    @classmethod
    def _no_rate(cls, value: object) -> object:
        return None if value == "null" else value

    @property
    def rate_of_user(self) -> Rate | None:
        return Rate(self.user_rate, self.user_burst) if self.user_rate else None

    @property
    def rate_of_address(self) -> Rate | None:
        return Rate(self.address_rate, self.address_burst) if self.address_rate else None
