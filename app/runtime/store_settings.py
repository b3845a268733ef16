"""What a langgraph.json says of its store: how items expire, and what of them is embedded for search by meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from langchain_core.embeddings import Embeddings
from langgraph.store.base import TTLConfig, ensure_embeddings
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.failures import Exit, Refused
from app.runtime.graph_config import load_object, read_project

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


@dataclass(frozen=True)
class Embedder:
    """What makes vectors, and of which parts of a value."""

    model: Embeddings
    dimensions: int
    fields: Sequence[str]


def load_embedder(file: Path, index: Index) -> Embedder:
    return Embedder(_embeddings(file, index.embed), index.dims, index.fields)


def _embeddings(file: Path, name: str) -> Embeddings:
    """A function or object of the project as path/to/file.py:name, else provider:model as LangChain names it."""
    where = f"{file}: store.index.embed={name!r}"
    if name.rpartition(":")[0].endswith(".py"):
        found = load_object(file, where, name)
        if not isinstance(found, Embeddings) and not callable(found):
            raise Refused(f"{where}: is a {type(found).__name__}. Name a function from texts to vectors.")
        return ensure_embeddings(cast("Any", found))
    from langchain.embeddings import init_embeddings  # half a second that most projects need not wait for

    try:
        return init_embeddings(name)
    except ImportError as failure:
        raise Refused(f"{where}: its package is not installed: {failure}", Exit.MISSING) from None
    except Exception as failure:
        # The provider's own message may quote a key.
        raise Refused(
            f"{where}: {type(failure).__name__}. Write provider:model, and set the provider's key."
        ) from failure
