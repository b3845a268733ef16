"""The store: what graphs and clients remember beyond a thread. Each user has one, whoever asks for it.

AsyncPostgresStore of langgraph-checkpoint-postgres has no owner in its rows, embeds while it holds a connection, and
searches the vectors of all before it looks whose they are; so the statements are ours, behind LangGraph's interface.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    get_text_at_path,
    validate_op_namespace,
)

from app.runtime.database import Pool
from app.runtime.embedder import Embedder
from app.runtime.problems import InvalidInput, Unavailable
from app.security.caller import Caller
from app.tables import store_items
from app.tables.store_items import Connection, NamespaceCondition, Search, Stored

log = logging.getLogger(__name__)

RETRY_SECONDS = 2
EMBED_SECONDS = 30.0  # for one batch, as for an answer of a model
# PostgreSQL's index takes 2,704 bytes a row (a third of a page), of which a tenant and an owner may need a part.
MOST_ADDRESS_BYTES = 1_500


@dataclass(frozen=True)
class Stores:
    """Gives each user's store."""

    pool: Pool
    time_to_live: TTLConfig
    embedder: Embedder | None

    def of(self, caller: Caller) -> UserStore:
        return UserStore(self, caller)


class UserStore(BaseStore):
    """One user's items. What is written in one batch is written whole or not at all."""

    supports_ttl = True

    def __init__(self, stores: Stores, caller: Caller) -> None:
        self.ttl_config = stores.time_to_live
        self._pool = stores.pool
        self._embedder = stores.embedder
        self._caller = caller
        self._loop = asyncio.get_running_loop()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """For nodes that are plain functions, which LangGraph calls in threads."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self._loop:
            raise asyncio.InvalidStateError("a coroutine waits for the store: use aput, aget, asearch, adelete")
        return asyncio.run_coroutine_threadsafe(self.abatch(ops), self._loop).result()

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Raises InvalidInput for what cannot be stored or asked, Unavailable when the embedder fails."""
        asked = list(ops)
        for op in asked:
            _check(op)
        vectors = await self._vectors(asked)  # before a connection is held
        async with self._pool.connection() as connection, connection.transaction():
            return [await self._do(connection, op, near) for op, near in zip(asked, vectors, strict=True)]

    async def _do(self, connection: Connection, op: Op, vectors: Mapping[str, Sequence[float]]) -> Result:
        if isinstance(op, GetOp):
            found = await store_items.get(connection, self._caller, op.namespace, op.key, refresh=op.refresh_ttl)
            return Item(**_fields(found)) if found else None
        if isinstance(op, SearchOp):
            wanted = Search(
                op.namespace_prefix, op.filter or {}, vectors.get(op.query or ""), op.limit, op.offset, op.refresh_ttl
            )
            try:
                found = await store_items.search(connection, self._caller, wanted)
            except ValueError as failure:
                raise InvalidInput(f"filter: {failure}.", field="filter") from None
            return [SearchItem(**_fields(item), score=item.score) for item in found]
        if isinstance(op, ListNamespacesOp):
            conditions = [
                NamespaceCondition(each.match_type, tuple(each.path)) for each in op.match_conditions or () if each.path
            ]
            return await store_items.namespaces(connection, self._caller, conditions, op.max_depth, op.limit, op.offset)
        if op.value is None:
            return await store_items.delete(connection, self._caller, op.namespace, op.key)
        await store_items.put(connection, self._caller, op.namespace, op.key, op.value, op.ttl)
        if self._embedder:
            await store_items.put_vectors(connection, self._caller, op.namespace, op.key, vectors)
        return None

    async def _vectors(self, ops: Sequence[Op]) -> list[dict[str, Sequence[float]]]:
        """For each, by field of what it puts, or by the query that it searches for."""
        if self._embedder is None:
            return [{} for _ in ops]
        texts = [self._texts(self._embedder, op) for op in ops]
        model = self._embedder.model
        flat = [text for each in texts for text in each.values()]
        if not flat:
            return [{} for _ in ops]
        try:
            async with asyncio.timeout(EMBED_SECONDS):
                if all(isinstance(op, SearchOp) for op in ops):
                    made = await asyncio.gather(*(model.aembed_query(text) for text in flat))
                else:
                    made = await model.aembed_documents(flat)
        except Exception as failure:
            log.warning("nothing embedded", extra={"fields": {"error": type(failure).__name__}})
            raise Unavailable(
                f"The embedder failed ({type(failure).__name__}). Send this again.", retry_after=RETRY_SECONDS
            ) from failure
        sizes = [len(vector) for vector in made]
        if sizes != [self._embedder.dimensions] * len(flat):
            raise Unavailable(
                f"The embedder gave vectors of {sizes} dimensions for {len(flat)} texts, and langgraph.json has"
                f" store.index.dims={self._embedder.dimensions}. Correct one of them."
            )
        remaining = iter(made)
        return [{field: next(remaining) for field in each} for each in texts]

    def _texts(self, embedder: Embedder, op: Op) -> dict[str, str]:
        if isinstance(op, SearchOp):
            return {op.query: op.query} if op.query else {}
        if not isinstance(op, PutOp) or op.value is None or op.index is False:
            return {}
        found = ((path, get_text_at_path(op.value, path)) for path in op.index or embedder.fields)
        return {f"{path}.{number}": text for path, texts in found for number, text in enumerate(texts)}


def _check(op: Op) -> None:
    validate_op_namespace(op)
    if isinstance(op, GetOp | PutOp):
        size = len("".join((*op.namespace, op.key)).encode())
        if size > MOST_ADDRESS_BYTES:
            raise InvalidInput(
                f"key: namespace and key are {size} bytes long. Send {MOST_ADDRESS_BYTES} at most.", field="key"
            )
    if isinstance(op, PutOp) and op.ttl is not None and op.ttl <= 0:
        raise InvalidInput(f"ttl={op.ttl}: has to be more than 0 minutes. Leave it out to keep the item.", field="ttl")


def _fields(found: Stored) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("namespace", "key", "value", "created_at", "updated_at")}
