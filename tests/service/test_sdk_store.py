"""The store through both clients of langgraph-sdk, from inside graphs, and for several users."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph.store.base import GetOp, PutOp
from langgraph_sdk import get_client
from langgraph_sdk.errors import APIStatusError
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr

from app.api.application import create_app
from app.failures import Refused
from app.runtime.checkpoints import PooledSaver
from app.runtime.connection import connection_string
from app.runtime.database import Pool
from app.runtime.problems import InvalidInput
from app.runtime.retention import Retention, Sweeper
from app.runtime.schema import UnusableSchema, migrate
from app.runtime.store import Stores, UserStore
from app.runtime.store_settings import read_store_settings
from app.runtime.store_vectors import check_vectors, prepare_vectors
from app.security.caller import Caller
from app.settings import Settings
from tests.service.database import statement
from tests.service.sdk import Sdk, served

pytestmark = pytest.mark.anyio

REMEMBERING = Path(__file__).parent / "projects" / "remembering" / "langgraph.json"
ANN, BEN = (Caller("acme", name, frozenset()) for name in ("ann", "ben"))
OTHER_TENANT = Caller("globex", "ann", frozenset())


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[Sdk]:
    async with get_client(url=url, api_key=None) as client:
        yield client


def fresh() -> list[str]:
    return ["test", uuid4().hex]


async def test_items_are_found_below_their_namespace_and_not_beside_it(sdk: Sdk) -> None:
    namespace = fresh()
    for below, key in (([], "a"), (["deeper"], "b")):
        await sdk.store.put_item([*namespace, *below], key=key, value={})
    await sdk.store.put_item([namespace[0], namespace[1] + "x"], key="beside", value={})
    found = await sdk.store.search_items(namespace)
    assert {item["key"] for item in found["items"]} == {"a", "b"}


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        ({"kind": "fruit"}, {"9", "10"}),
        ({"weight": {"$gt": 9}}, {"10"}),  # as numbers: as text "10" comes before "9"
        ({"weight": {"$gte": 9, "$lt": 10}}, {"9"}),
        ({"weight": {"$ne": 9}}, {"10", "text"}),
        ({"kind": {"$gt": "f"}}, {"9", "10", "text"}),
        ({"weight": {"$lte": "9"}}, {"text"}),
        ({"inner": {"a": 1}}, {"text"}),
        ({"absent": 1}, set[str]()),
    ],
)
async def test_a_filter_compares_numbers_as_numbers_and_text_as_text(
    sdk: Sdk, wanted: dict[str, Any], keys: set[str]
) -> None:
    namespace = fresh()
    await sdk.store.put_item(namespace, key="9", value={"kind": "fruit", "weight": 9})
    await sdk.store.put_item(namespace, key="10", value={"kind": "fruit", "weight": 10})
    await sdk.store.put_item(namespace, key="text", value={"kind": "nut", "weight": "9", "inner": {"a": 1}})
    assert {item["key"] for item in (await sdk.store.search_items(namespace, filter=wanted))["items"]} == keys


async def test_pages_of_a_search_hold_each_item_once_the_newest_first(sdk: Sdk) -> None:
    namespace = fresh()
    for key in "abcde":
        await sdk.store.put_item(namespace, key=key, value={})
    pages = [await sdk.store.search_items(namespace, limit=2, offset=offset) for offset in (0, 2, 4)]
    assert [item["key"] for page in pages for item in page["items"]] == list("edcba")


async def test_namespaces_are_listed_by_prefix_suffix_wildcard_and_depth(sdk: Sdk) -> None:
    root = uuid4().hex
    for labels in (["a", "x"], ["a", "y", "z"], ["b", "x"]):
        await sdk.store.put_item([root, *labels], key="k", value={})

    async def listed(**conditions: Any) -> list[list[str]]:
        found = await sdk.store.list_namespaces(**{"prefix": [root], **conditions})
        return [namespace[1:] for namespace in found["namespaces"]]

    assert await listed() == [["a", "x"], ["a", "y", "z"], ["b", "x"]]
    assert await listed(prefix=[root, "a"]) == [["a", "x"], ["a", "y", "z"]]
    assert await listed(suffix=["x"]) == [["a", "x"], ["b", "x"]]
    assert await listed(prefix=[root, "*", "x"]) == [["a", "x"], ["b", "x"]]
    assert await listed(suffix=["*", "z"]) == [["a", "y", "z"]]
    assert await listed(max_depth=2) == [["a"], ["b"]]
    assert await listed(limit=1, offset=1) == [["a", "y", "z"]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"namespace": [], "key": "k", "value": {}}, "namespace"),
        ({"namespace": ["a.b"], "key": "k", "value": {}}, "namespace"),
        ({"namespace": [""], "key": "k", "value": {}}, "namespace"),
        ({"namespace": ["langgraph"], "key": "k", "value": {}}, "namespace"),
        ({"namespace": ["n"], "key": "", "value": {}}, "key"),
        ({"namespace": ["n"], "key": "k" * 1600, "value": {}}, "key"),
        ({"namespace": ["n"], "key": "k", "value": [1]}, "value"),
        ({"namespace": ["n"], "key": "k", "value": {"a": "\0"}}, "value"),
        ({"namespace": ["n"], "key": "k", "value": {}, "ttl": 0}, "ttl"),
    ],
)
async def test_what_cannot_be_kept_is_refused_by_its_field(
    conversation_url: str, body: dict[str, Any], field: str
) -> None:
    async with opened(conversation_url) as client:
        with pytest.raises(APIStatusError) as raised:
            await client.http.put("/store/items", json=body)
    assert (raised.value.status_code, raised.value.response.json()["error"]["field"]) == (422, field)


async def test_a_filter_with_an_unknown_operator_is_refused(sdk: Sdk) -> None:
    with pytest.raises(APIStatusError) as raised:
        await sdk.store.search_items(["n"], filter={"a": {"$regex": ".*"}})
    assert (raised.value.status_code, raised.value.response.json()["error"]["field"]) == (422, "filter")


@pytest.fixture(scope="module")
def remembering(postgres_url: str) -> Generator[tuple[str, str]]:
    """The address of a service whose store has an embedder, and its database."""
    from tests.service.conftest import fresh_database

    with fresh_database(postgres_url) as url, served(Settings(database_url=SecretStr(url), config=REMEMBERING)) as at:
        yield at, url


async def test_a_graph_finds_by_meaning_what_it_and_its_client_kept(remembering: tuple[str, str]) -> None:
    async with opened(remembering[0]) as client:
        await client.store.put_item(["memories"], key="of the client", value={"text": "rain and sun"})
        await client.store.put_item(["memories"], key="not indexed", value={"text": "rain"}, index=False)
        await client.runs.wait(None, "remember", input={"text": "my cat and dog"})
        ended = await client.runs.wait(None, "remember", input={"text": "soup", "question": "what weather?"})
        assert ended["found"][0] == "of the client"
        assert set(ended["found"]) == {"of the client", "my cat and dog", "soup"}
        assert ended["known"] == [["memories"]]
        pets = await client.store.search_items(["memories"], query="a pet", limit=1)
        assert [(item["key"], item["score"] > 0.9) for item in pets["items"]] == [("my cat and dog", True)]


async def test_an_item_is_found_by_its_present_text_only(remembering: tuple[str, str]) -> None:
    async with opened(remembering[0]) as client:
        for text in ("bread", "dog"):
            await client.store.put_item(["changing"], key="k", value={"text": text})
        (found,) = (await client.store.search_items(["changing"], query="food"))["items"]
        assert found["score"] < 0.5
        await client.store.put_item(["changing"], key="k", value={"text": "dog"}, index=False)
        assert (await client.store.search_items(["changing"], query="pet"))["items"] == []


async def test_reading_an_item_begins_its_time_to_live_again_unless_told_not_to(remembering: tuple[str, str]) -> None:
    address, url = remembering

    async def minutes_left(**how: Any) -> float:
        statement(url, "UPDATE store_items SET expires_at = now() + interval '1 minute' WHERE key = 'ttl'")
        await client.store.get_item(["kept"], key="ttl", **how)
        return statement(
            url, "SELECT extract(epoch FROM expires_at - now()) / 60 AS left FROM store_items WHERE key = 'ttl'"
        )[0]["left"]

    async with opened(address) as client:
        await client.store.put_item(["kept"], key="ttl", value={})  # an hour, by langgraph.json
        assert await minutes_left() > 50
        assert await minutes_left(refresh_ttl=False) < 2
        await client.store.search_items(["kept"])
        left = "SELECT expires_at > now() + interval '50 minutes' AS renewed FROM store_items WHERE key = 'ttl'"
        assert statement(url, left) == [{"renewed": True}]
        await client.store.put_item(["kept"], key="ttl", value={}, ttl=5)
        assert 4 < await minutes_left() < 6


@pytest.fixture
async def pool(settings: Settings) -> Any:
    await migrate(connection_string(settings))
    async with AsyncConnectionPool(
        connection_string(settings), kwargs={"autocommit": True, "row_factory": dict_row}, max_size=4
    ) as opened:
        yield opened


def store_of(pool: Pool, caller: Caller) -> UserStore:
    return Stores(pool, {}, None).of(caller)


async def test_a_user_sees_changes_and_deletes_nothing_of_another(pool: Pool) -> None:
    mine = store_of(pool, ANN)
    await mine.aput(("a",), "k", {"of": "ann"})
    for stranger in (store_of(pool, BEN), store_of(pool, OTHER_TENANT)):
        assert await stranger.aget(("a",), "k") is None
        assert await stranger.asearch(()) == []
        assert await stranger.alist_namespaces() == []
        await stranger.adelete(("a",), "k")
        await stranger.aput(("a",), "k", {"of": "another"})
    found = await mine.aget(("a",), "k")
    assert found
    assert found.value == {"of": "ann"}


async def test_an_expired_item_is_gone_for_readers_at_once_and_from_the_table_when_swept(
    pool: Pool, database_url: str
) -> None:
    mine = store_of(pool, ANN)
    await mine.aput(("a",), "short", {}, ttl=0.001)
    await mine.aput(("a",), "long", {})
    await asyncio.sleep(0.1)
    assert await mine.aget(("a",), "short") is None
    assert [item.key for item in await mine.asearch(())] == ["long"]
    await Sweeper(pool, PooledSaver(pool), Retention(3600, None, None)).sweep()
    assert statement(database_url, "SELECT key FROM store_items") == [{"key": "long"}]


async def test_a_batch_is_written_whole_or_not_at_all(pool: Pool) -> None:
    mine = store_of(pool, ANN)
    with pytest.raises(InvalidInput):
        await mine.abatch([PutOp(("a",), "good", {}), PutOp(("a",), "k" * 2000, {})])
    with pytest.raises(Exception, match="0000"):  # what JSON of PostgreSQL cannot hold
        await mine.abatch([PutOp(("a",), "good", {}), PutOp(("a",), "bad", {"text": "\0"})])
    assert await mine.abatch([GetOp(("a",), "good")]) == [None]


async def test_a_server_without_pgvector_is_refused_with_what_to_do(settings: Settings, database_url: str) -> None:
    # Before PostgreSQL's own view of that name: this server then says that it has no extension.
    statement(database_url, "CREATE TABLE public.pg_available_extensions (name text)")
    hidden = make_conninfo(database_url, options="-c search_path=public,pg_catalog")
    with pytest.raises(UnusableSchema, match="no pgvector: install"):
        await check_vectors(lambda: hidden, 3)
    app = create_app(settings.model_copy(update={"database_url": SecretStr(hidden), "config": REMEMBERING}))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        ready = await client.get("/ready")
        assert (ready.status_code, "no pgvector" in ready.text) == (503, True)


async def test_other_dimensions_than_the_stored_ones_are_refused(settings: Settings) -> None:
    connect = connection_string(settings)
    await migrate(connect)
    await asyncio.gather(*(prepare_vectors(connect, 3) for _ in range(3)))
    with pytest.raises(UnusableSchema, match="dims=4, and the stored vectors have 3"):
        await prepare_vectors(connect, 4)


@pytest.mark.parametrize(
    ("store", "where"),
    [
        ('{"path": "./mine.py:store"}', "store.path"),
        ('{"index": {"embed": "openai:x"}}', "store.index.dims"),
        ('{"index": {"embed": "openai:x", "dims": 0}}', "store.index.dims"),
        ('{"ttl": {"default_ttl": -1}}', "store.ttl.default_ttl"),
        ('"yes"', "store"),
    ],
)
def test_what_a_langgraph_json_cannot_ask_of_the_store_is_refused(tmp_path: Path, store: str, where: str) -> None:
    file = tmp_path / "langgraph.json"
    file.write_text(f'{{"store": {store}}}')
    with pytest.raises(Refused, match=rf"{where}: "):
        read_store_settings(file)
