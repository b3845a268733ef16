"""What a langgraph.json says of its store: how items expire, and what of them is embedded for search by meaning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.failures import Refused
from app.runtime.project_file import read_project

if TYPE_CHECKING:
    from langgraph.store.base import TTLConfig

MOST_DIMENSIONS = 16_000  # of pgvector's type vector
LONGEST_TTL = 527_040_000  # minutes: a thousand years


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TimeToLive(_Part):
    refresh_on_read: bool = True
    default_ttl: float | None = Field(default=None, gt=0, le=LONGEST_TTL)
    # Expired items are never shown, and deleted each half minute (app/runtime/retention.py): sooner than asked for.
    sweep_interval_minutes: int | None = Field(default=None, gt=0)


class Index(_Part):
    dims: int = Field(ge=1, le=MOST_DIMENSIONS)
    embed: str = Field(min_length=1)
    fields: tuple[str, ...] = Field(default=("$",), min_length=1)


class StoreSettings(_Part):
    index: Index | None = None
    ttl: TimeToLive | None = None

    @property
    def time_to_live(self) -> TTLConfig:
        return cast("TTLConfig", (self.ttl or TimeToLive()).model_dump())


def read_store_settings(file: Path) -> StoreSettings:
    """Raises Refused for what this service would not do as the file says."""
    try:
        return StoreSettings.model_validate(read_project(file).get("store") or {})
    except ValidationError as failure:
        error = failure.errors(include_url=False)[0]
        where = ".".join(("store", *map(str, error["loc"])))
        raise Refused(f"{file}: {where}: {error['msg']}. Correct or remove it.") from None
