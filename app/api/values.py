"""Values that cross the border: what JSON we can store, and how any state becomes JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, cast

from fastapi import Path, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from app.runtime.stream_parts import to_json

THREAD_ID_PATTERN = r"^[A-Za-z0-9_.-]{1,128}$"
Identifier = Annotated[str, Field(pattern=THREAD_ID_PATTERN)]
ThreadId = Annotated[str, Path(pattern=THREAD_ID_PATTERN)]

MAX_DEPTH = 64
# msgpack, the checkpoint format, has 64-bit integers.
SMALLEST, LARGEST = -(2**63), 2**64 - 1


def refuse_unstorable(value: Any) -> Any:
    """Raises ValueError for JSON that PostgreSQL or msgpack cannot keep."""
    pending: list[tuple[object, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(item, dict):
            pending += [(part, depth + 1) for pair in cast("dict[str, object]", item).items() for part in pair]
        elif isinstance(item, list):
            pending += [(part, depth + 1) for part in cast("list[object]", item)]
        else:
            _refuse_scalar(item)
    return value


def _refuse_scalar(item: object) -> None:
    if isinstance(item, str):
        if "\x00" in item:
            raise ValueError("holds the character U+0000, which PostgreSQL cannot store")
        if any("\ud800" <= character <= "\udfff" for character in item):
            raise ValueError("holds half a surrogate pair, which is not text")
    elif isinstance(item, int) and not SMALLEST <= item <= LARGEST:
        raise ValueError("holds a number of more than 64 bits")
    elif isinstance(item, float) and not math.isfinite(item):
        raise ValueError("holds a number that is not finite")


JsonObject = Annotated[dict[str, Any], AfterValidator(refuse_unstorable)]
Text = Annotated[str, AfterValidator(refuse_unstorable)]
Storable = Annotated[Any, AfterValidator(refuse_unstorable)]


def unsupported(remedy: str) -> BeforeValidator:
    """For a key of the SDK that this service does not act on, and would better refuse than ignore."""

    def refuse(_: object) -> None:
        raise ValueError(f"is not supported. {remedy}")

    return BeforeValidator(refuse)


class SdkBody(BaseModel):
    """A body of SDK clients, which send null for what they leave out.

    Keys that are not ours are left alone: clients are older and newer than this service.
    """

    @model_validator(mode="before")
    @classmethod
    def _nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: part for key, part in cast("dict[str, Any]", value).items() if part is not None}


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with any state in it, which FastAPI's own way would refuse or change."""
    return Response(to_json(value), status, headers, "application/json")
