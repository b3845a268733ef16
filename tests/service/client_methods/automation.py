"""Crons and the store."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.service.client_methods.registry import works
from tests.service.sdk import Sdk, new_thread

NEW_YEAR = "0 0 1 1 *"


async def _cron(sdk: Sdk) -> dict[str, Any]:
    return await sdk.crons.create("steps", schedule=NEW_YEAR, input={"steps": []}, metadata={"of": "the table"})


@works("crons.create")
async def create_cron(sdk: Sdk) -> None:
    made = await _cron(sdk)
    assert (made["thread_id"], made["enabled"], made["payload"]["input"]) == (None, True, {"steps": []})
    assert datetime.fromisoformat(made["next_run_date"]) > datetime.now(UTC)


@works("crons.create_for_thread")
async def create_thread_cron(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    made = await sdk.crons.create_for_thread(thread_id, "steps", schedule=NEW_YEAR, timezone="Asia/Tokyo")
    assert (made["thread_id"], made["timezone"]) == (thread_id, "Asia/Tokyo")


@works("crons.update")
async def update_cron(sdk: Sdk) -> None:
    changed = await sdk.crons.update((await _cron(sdk))["cron_id"], enabled=False)
    assert (changed["enabled"], changed["next_run_date"]) == (False, None)


@works("crons.delete")
async def delete_cron(sdk: Sdk) -> None:
    cron_id = (await _cron(sdk))["cron_id"]
    await sdk.crons.delete(cron_id)
    assert cron_id not in {cron["cron_id"] for cron in await sdk.crons.search(limit=1000)}


@works("crons.search")
async def search_crons(sdk: Sdk) -> None:
    made = await _cron(sdk)
    found = await sdk.crons.search(assistant_id="steps", enabled=True, metadata={"of": "the table"}, limit=1)
    assert found == [made]


@works("crons.count")
async def count_crons(sdk: Sdk) -> None:
    before = await sdk.crons.count(metadata={"of": "the table"})
    await _cron(sdk)
    assert await sdk.crons.count(metadata={"of": "the table"}) == before + 1


async def _kept(sdk: Sdk, key: str) -> tuple[list[str], dict[str, Any]]:
    namespace = ["table", uuid4().hex]
    await sdk.store.put_item(namespace, key=key, value={"colour": "red"})
    return namespace, await sdk.store.get_item(namespace, key=key)


@works("store.put_item")
async def put_item(sdk: Sdk) -> None:
    namespace, first = await _kept(sdk, "a")
    await sdk.store.put_item(namespace, key="a", value={"colour": "blue"}, ttl=5)
    second = await sdk.store.get_item(namespace, key="a")
    assert (second["value"], second["created_at"]) == ({"colour": "blue"}, first["created_at"])


@works("store.get_item")
async def get_item(sdk: Sdk) -> None:
    namespace, item = await _kept(sdk, "a")
    assert (item["namespace"], item["key"], item["value"]) == (namespace, "a", {"colour": "red"})
    assert await sdk.store.get_item(namespace, key="b") is None


@works("store.delete_item")
async def delete_item(sdk: Sdk) -> None:
    namespace, _ = await _kept(sdk, "a")
    await sdk.store.delete_item(namespace, key="a")
    assert await sdk.store.get_item(namespace, key="a") is None


@works("store.search_items")
async def search_items(sdk: Sdk) -> None:
    namespace, item = await _kept(sdk, "a")
    found = await sdk.store.search_items(namespace, filter={"colour": "red"})
    assert found == {"items": [{**item, "score": None}]}


@works("store.list_namespaces")
async def list_namespaces(sdk: Sdk) -> None:
    namespace, _ = await _kept(sdk, "a")
    assert await sdk.store.list_namespaces(prefix=["table"], suffix=namespace[1:]) == {"namespaces": [namespace]}
