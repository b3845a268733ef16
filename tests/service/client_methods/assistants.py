"""Assistants."""

from tests.service.client_methods.registry import works
from tests.service.sdk import Sdk


async def _made(sdk: Sdk, name: str = "one") -> str:
    return (await sdk.assistants.create("steps", name=name, metadata={"of": "proof"}))["assistant_id"]


@works("assistants.create")
async def create(sdk: Sdk) -> None:
    made = await sdk.assistants.create("talk", config={"tags": ["a"]}, name="polite", description="for guests")
    assert (made["graph_id"], made["name"], made["version"]) == ("talk", "polite", 1)
    assert (made["config"], made["description"]) == ({"tags": ["a"]}, "for guests")


@works("assistants.get")
async def get(sdk: Sdk) -> None:
    assert (await sdk.assistants.get(await _made(sdk)))["metadata"] == {"of": "proof"}


@works("assistants.update")
async def update(sdk: Sdk) -> None:
    changed = await sdk.assistants.update(await _made(sdk), name="other")
    assert (changed["name"], changed["version"]) == ("other", 2)


@works("assistants.delete")
async def delete(sdk: Sdk) -> None:
    assistant_id = await _made(sdk)
    await sdk.assistants.delete(assistant_id)
    assert assistant_id not in {each["assistant_id"] for each in await sdk.assistants.search(limit=1000)}


@works("assistants.search")
async def search(sdk: Sdk) -> None:
    assistant_id = await _made(sdk, "to be found")
    found = await sdk.assistants.search(name="be found", limit=1000)
    assert assistant_id in {each["assistant_id"] for each in found}


@works("assistants.count")
async def count(sdk: Sdk) -> None:
    assert await sdk.assistants.count(graph_id="talk", metadata={"created_by": "system"}) == 1


@works("assistants.get_versions")
async def get_versions(sdk: Sdk) -> None:
    assistant_id = await _made(sdk)
    await sdk.assistants.update(assistant_id, name="other")
    assert [each["name"] for each in await sdk.assistants.get_versions(assistant_id)] == ["other", "one"]


@works("assistants.set_latest")
async def set_latest(sdk: Sdk) -> None:
    assistant_id = await _made(sdk)
    await sdk.assistants.update(assistant_id, name="other")
    assert (await sdk.assistants.set_latest(assistant_id, 1))["name"] == "one"


@works("assistants.get_graph")
async def get_graph(sdk: Sdk) -> None:
    assert "middle" in {node["id"] for node in (await sdk.assistants.get_graph(await _made(sdk)))["nodes"]}


@works("assistants.get_schemas")
async def get_schemas(sdk: Sdk) -> None:
    assert (await sdk.assistants.get_schemas(await _made(sdk)))["graph_id"] == "steps"


@works("assistants.get_subgraphs")
async def get_subgraphs(sdk: Sdk) -> None:
    assert list(await sdk.assistants.get_subgraphs("nested", recurse=True)) == ["inner"]
