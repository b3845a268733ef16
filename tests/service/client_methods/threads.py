"""Threads and their states."""

from tests.service.client_methods.registry import works
from tests.service.sdk import Sdk, new_thread


async def run(sdk: Sdk, graph: str = "steps") -> str:
    """A thread after a run of the graph."""
    thread_id = await new_thread(sdk)
    await sdk.runs.wait(thread_id, graph, input={"answers": []} if graph == "survey" else {"steps": []})
    return thread_id


@works("threads.create")
async def create(sdk: Sdk) -> None:
    made = await sdk.threads.create(metadata={"a": 1}, ttl=5)
    assert (made["metadata"], made["ttl"]["ttl_minutes"]) == ({"a": 1}, 5)


@works("threads.get")
async def get(sdk: Sdk) -> None:
    assert (await sdk.threads.get(await new_thread(sdk), include=["ttl"]))["status"] == "idle"


@works("threads.update")
async def update(sdk: Sdk) -> None:
    assert (await sdk.threads.update(await new_thread(sdk), metadata={"b": 2}))["metadata"] == {"b": 2}


@works("threads.delete")
async def delete(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    await sdk.threads.delete(thread_id)
    assert await sdk.threads.search(ids=[thread_id]) == []


@works("threads.search")
async def search(sdk: Sdk) -> None:
    thread_id = await run(sdk)
    found = await sdk.threads.search(ids=[thread_id], values={"steps": ["last"]})
    assert [thread["thread_id"] for thread in found] == [thread_id]


@works("threads.count")
async def count(sdk: Sdk) -> None:
    made = await sdk.threads.create(metadata={"count": "me"})
    assert await sdk.threads.count(metadata=made["metadata"]) >= 1


@works("threads.copy")
async def copy(sdk: Sdk) -> None:
    thread_id = await run(sdk)
    copied = await sdk.threads.copy(thread_id)
    assert copied["thread_id"] != thread_id
    assert copied["values"] == (await sdk.threads.get(thread_id))["values"]


@works("threads.prune")
async def prune(sdk: Sdk) -> None:
    thread_id = await run(sdk)
    assert await sdk.threads.prune([thread_id], strategy="keep_latest") == {"pruned_count": 1}
    assert len(await sdk.threads.get_history(thread_id)) == 1


@works("threads.get_state")
async def get_state(sdk: Sdk) -> None:
    assert (await sdk.threads.get_state(await run(sdk, "survey")))["next"] == ["ask_name"]


@works("threads.update_state")
async def update_state(sdk: Sdk) -> None:
    thread_id = await run(sdk, "survey")
    await sdk.threads.update_state(thread_id, {"answers": ["by hand"]}, as_node="ask_name")
    assert (await sdk.threads.get_state(thread_id))["next"] == ["ask_age"]


@works("threads.get_history")
async def get_history(sdk: Sdk) -> None:
    history = await sdk.threads.get_history(await run(sdk))
    assert [state["next"] for state in history][-1] == ["__start__"]
