"""/store: what a user's clients and graphs keep beyond a thread, by namespace and key."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from langgraph.store.base import NOT_PROVIDED, Item
from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from app.api.dependencies import ERRORS, READ, RUN, CurrentCaller, ReadyService
from app.api.values import JsonObject, SdkBody, Text, json_response, refuse_unstorable
from app.runtime.store_settings import LONGEST_TTL

router = APIRouter(tags=["store"], responses=ERRORS)

MOST_LABELS = 32


def _readable(namespace: list[str]) -> list[str]:
    for label in namespace:
        if not label or "." in label:
            raise ValueError(f"label {label!r} is empty or has a period. Send labels without periods")
    return refuse_unstorable(namespace)


def _writable(namespace: list[str]) -> list[str]:
    if namespace[:1] in ([], ["langgraph"]):
        raise ValueError("is empty or begins with langgraph, which is LangGraph's own. Send a label of yours")
    return namespace


def _dotted(namespace: str) -> str:
    _writable(_readable(namespace.split(".")))
    return namespace


Path = Annotated[list[str], Field(max_length=MOST_LABELS), AfterValidator(_readable)]
Namespace = Annotated[Path, AfterValidator(_writable)]
Key = Annotated[Text, Field(min_length=1)]


class ItemAddress(SdkBody):
    """Where an item is."""

    namespace: Namespace
    key: Key


class ItemBody(ItemAddress):
    """An item to keep, in place of the one that is there."""

    value: JsonObject
    index: Literal[False] | Annotated[list[Text], Field(min_length=1, max_length=32)] | None = Field(
        default=None, description="Which parts are found by meaning, in place of store.index.fields; false for none."
    )
    ttl: float | None = Field(
        default=None, gt=0, le=LONGEST_TTL, description="Minutes; store.ttl.default_ttl when left out."
    )


class ItemSearch(SdkBody):
    """Which items under a namespace."""

    namespace_prefix: Path = Field(default=[])
    filter: JsonObject = Field(
        default={}, description="By key of the value, what it is, or {$eq, $ne, $gt, $gte, $lt, $lte}."
    )
    query: Text | None = Field(
        default=None, max_length=20_000, description="Most similar first, where langgraph.json has a store.index."
    )
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000_000)
    refresh_ttl: bool | None = Field(default=None, description="store.ttl.refresh_on_read when left out.")


class NamespaceSearch(SdkBody):
    """Which namespaces; * stands for any label."""

    prefix: Path | None = None
    suffix: Path | None = None
    max_depth: int | None = Field(default=None, ge=1, le=MOST_LABELS)
    limit: int = Field(default=100, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000_000)


class ExistingItem(TypedDict, total=False):
    """An item as the SDK reads it; `score` only in a search with a query."""

    namespace: list[str]
    key: str
    value: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    score: float | None


class FoundItems(TypedDict):
    items: list[ExistingItem]


class FoundNamespaces(TypedDict):
    namespaces: list[list[str]]


@router.put("/store/items", operation_id="put_item", status_code=204, dependencies=[RUN])
async def put(body: ItemBody, service: ReadyService, caller: CurrentCaller) -> None:
    """Keeps an item."""
    ttl = NOT_PROVIDED if body.ttl is None else body.ttl
    await service.stores.of(caller).aput(tuple(body.namespace), body.key, body.value, body.index, ttl=ttl)


@router.get("/store/items", operation_id="get_item", response_model=ExistingItem | None, dependencies=[READ])
async def get(
    namespace: Annotated[str, Query(description="Labels joined by periods."), AfterValidator(_dotted)],
    key: Annotated[Key, Query()],
    service: ReadyService,
    caller: CurrentCaller,
    refresh_ttl: bool | None = None,
) -> Response:
    """The item, or null."""
    found = await service.stores.of(caller).aget(tuple(namespace.split(".")), key, refresh_ttl=refresh_ttl)
    return json_response(_existing(found) if found else None)


@router.delete("/store/items", operation_id="delete_item", status_code=204, dependencies=[RUN])
async def delete(body: ItemAddress, service: ReadyService, caller: CurrentCaller) -> None:
    """Deletes an item, if there is one."""
    await service.stores.of(caller).adelete(tuple(body.namespace), body.key)


@router.post("/store/items/search", operation_id="search_items", response_model=FoundItems, dependencies=[READ])
async def search(body: ItemSearch, service: ReadyService, caller: CurrentCaller) -> Response:
    """The items that match: the most similar first, else the newest."""
    found = await service.stores.of(caller).asearch(
        tuple(body.namespace_prefix),
        query=body.query,
        filter=body.filter,
        limit=body.limit,
        offset=body.offset,
        refresh_ttl=body.refresh_ttl,
    )
    return json_response({"items": [{**_existing(item), "score": item.score} for item in found]})


@router.post("/store/namespaces", operation_id="list_namespaces", response_model=FoundNamespaces, dependencies=[READ])
async def namespaces(body: NamespaceSearch, service: ReadyService, caller: CurrentCaller) -> Response:
    """The namespaces that hold items."""
    found = await service.stores.of(caller).alist_namespaces(
        prefix=tuple(body.prefix) if body.prefix else None,
        suffix=tuple(body.suffix) if body.suffix else None,
        max_depth=body.max_depth,
        limit=body.limit,
        offset=body.offset,
    )
    return json_response({"namespaces": found})


def _existing(item: Item) -> ExistingItem:
    return ExistingItem(
        namespace=list(item.namespace),
        key=item.key,
        value=item.value,
        created_at=item.created_at,
        updated_at=item.updated_at,
    )
