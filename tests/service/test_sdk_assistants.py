"""Assistants, through the real langgraph-sdk."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from tests.service.sdk import Sdk, held, new_thread

pytestmark = pytest.mark.anyio

SYSTEM = {"created_by": "system"}
GRAPHS = ["talk", "survey", "pair", "beside", "nested", "steps"]
# The namespace by which LangGraph's own servers make the id (langgraph-api, graph.py).
LANGGRAPH_NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")


async def test_every_graph_has_an_assistant_under_its_name_with_the_id_langgraphs_servers_give_it(
    sdk: Sdk,
) -> None:
    found = await sdk.assistants.search(metadata=SYSTEM)
    assert [assistant["graph_id"] for assistant in found] == GRAPHS
    assert [assistant["assistant_id"] for assistant in found] == [
        str(uuid5(LANGGRAPH_NAMESPACE, name)) for name in GRAPHS
    ]
    assert {(assistant.get("metadata") or {})["created_by"] for assistant in found} == {"system"}


async def test_an_assistant_is_found_by_its_id_and_by_its_graphs_name(sdk: Sdk) -> None:
    by_name = await sdk.assistants.get("talk")
    assert await sdk.assistants.get(by_name["assistant_id"]) == by_name
    assert (by_name["name"], by_name["version"], by_name["config"]) == ("talk", 1, {})
    with pytest.raises(NotFoundError, match="Known: talk, survey"):
        await sdk.assistants.get("nobody")


async def test_a_search_filters_sorts_pages_and_selects(sdk: Sdk) -> None:
    async def names(**asked: Any) -> list[str]:
        return [assistant["name"] for assistant in await sdk.assistants.search(**{"metadata": SYSTEM, **asked})]

    assert await names(graph_id="pair") == ["pair"]
    assert await names(name="E") == ["survey", "beside", "nested", "steps"]
    assert await names(metadata={"created_by": "somebody"}) == []
    assert await names(sort_by="name") == sorted(GRAPHS)
    assert await names(sort_by="name", sort_order="desc", limit=2, offset=1) == sorted(GRAPHS, reverse=True)[1:3]
    assert await sdk.assistants.search(metadata=SYSTEM, graph_id="talk", select=["graph_id", "version"]) == [
        {"graph_id": "talk", "version": 1}
    ]
    assert await sdk.assistants.count(metadata=SYSTEM) == len(GRAPHS)
    assert await sdk.assistants.count(metadata=SYSTEM, name="e") == 4
    with pytest.raises(NotFoundError):
        await sdk.assistants.search(graph_id="nobody")
    with pytest.raises(UnprocessableEntityError, match="limit"):
        await sdk.assistants.search(limit=-1)


async def test_the_pages_of_a_search_lead_to_its_end(sdk: Sdk) -> None:
    names: list[str] = []
    offset: str | None = "0"
    while offset is not None:
        page = await sdk.assistants.search(metadata=SYSTEM, limit=2, offset=int(offset), response_format="object")
        names += [assistant["name"] for assistant in page["assistants"]]
        offset = page["next"]
    assert names == GRAPHS


async def test_a_drawing_has_the_nodes_and_edges_and_with_xray_those_of_subgraphs(sdk: Sdk) -> None:
    plain = await sdk.assistants.get_graph("nested")
    assert [node["id"] for node in plain["nodes"]] == ["__start__", "inner", "finish", "__end__"]
    assert {"source": "inner", "target": "finish"} in plain["edges"]
    for xray in (True, 1):
        nodes = [node["id"] for node in (await sdk.assistants.get_graph("nested", xray=xray))["nodes"]]
        assert "inner:ask_name" in nodes


async def test_schemas_say_what_a_graph_takes_gives_and_keeps(sdk: Sdk) -> None:
    talk = await sdk.assistants.get_schemas("talk")
    assert talk["graph_id"] == "talk"
    for schema in ("input_schema", "output_schema", "state_schema"):
        assert list(talk[schema]["properties"]) == ["messages"]
    assert talk["context_schema"]["properties"]["polite"]["type"] == "boolean"
    # A plain typing.TypedDict, which pydantic does not take as a whole before Python 3.12.
    steps = await sdk.assistants.get_schemas("steps")
    assert steps["input_schema"]["properties"]["steps"]["items"] == {"type": "string"}


async def test_subgraphs_are_found_by_their_namespace(sdk: Sdk) -> None:
    found = await sdk.assistants.get_subgraphs("nested", recurse=True)
    assert list(found) == ["inner"]
    assert list(found["inner"]["state_schema"]["properties"]) == ["answers"]
    assert await sdk.assistants.get_subgraphs("nested", namespace="inner") == found
    assert await sdk.assistants.get_subgraphs("nested", namespace="other") == {}
    assert await sdk.assistants.get_subgraphs("talk") == {}


STEPS: dict[str, Any] = {"steps": []}


async def test_an_assistants_config_and_context_lie_under_those_of_its_runs(sdk: Sdk) -> None:
    hello = {"messages": [{"role": "user", "content": "hello"}]}
    made = await sdk.assistants.create("talk", {"recursion_limit": 1}, context={"polite": True}, name="short")
    with pytest.raises(Exception, match="more than 1 steps"):
        await sdk.runs.wait(None, made["assistant_id"], input=hello)
    long = {"recursion_limit": 9}
    polite = await sdk.runs.wait(None, made["assistant_id"], input=hello, config=long)
    assert polite["messages"][-1]["content"].endswith(" sir")
    plain = await sdk.runs.wait(None, made["assistant_id"], input=hello, config=long, context={"polite": False})
    assert not plain["messages"][-1]["content"].endswith(" sir")


async def test_each_change_is_a_version_that_can_be_gone_back_to(sdk: Sdk) -> None:
    made = await sdk.assistants.create("talk", metadata={"a": 1, "b": 1}, name="one")
    changed = await sdk.assistants.update(made["assistant_id"], metadata={"b": 2}, name="two", graph_id="steps")
    assert (changed["version"], changed["metadata"], changed["graph_id"]) == (2, {"a": 1, "b": 2}, "steps")
    versions = await sdk.assistants.get_versions(made["assistant_id"])
    assert [(each["version"], each["name"]) for each in versions] == [(2, "two"), (1, "one")]
    assert [each["version"] for each in await sdk.assistants.get_versions(made["assistant_id"], {"b": 1})] == [1]
    back = await sdk.assistants.set_latest(made["assistant_id"], 1)
    assert (back["version"], back["name"], back["graph_id"]) == (1, "one", "talk")
    assert (await sdk.assistants.update(made["assistant_id"], name="three"))["version"] == 3
    with pytest.raises(NotFoundError, match="no such version"):
        await sdk.assistants.set_latest(made["assistant_id"], 9)


async def test_an_id_of_an_assistant_is_taken_once_unless_the_present_one_will_do(sdk: Sdk) -> None:
    made = await sdk.assistants.create("talk", assistant_id=str(uuid4()))
    again = {"assistant_id": made["assistant_id"]}
    with pytest.raises(ConflictError, match="if_exists=do_nothing"):
        await sdk.assistants.create("talk", **again)
    assert await sdk.assistants.create("steps", if_exists="do_nothing", **again) == made
    with pytest.raises(NotFoundError, match="Known: talk"):
        await sdk.assistants.create("nobody")


async def test_what_langgraph_json_declares_is_changed_there_alone(sdk: Sdk) -> None:
    declared = await sdk.assistants.get("talk")
    for refused in (
        sdk.assistants.update("talk", name="mine"),
        sdk.assistants.delete(declared["assistant_id"]),
        sdk.assistants.set_latest("talk", 1),
        sdk.assistants.create("steps", assistant_id=declared["assistant_id"]),
    ):
        with pytest.raises(ConflictError, match="declared by langgraph"):
            await refused
    assert [each["version"] for each in await sdk.assistants.get_versions("talk")] == [1]


async def test_a_deleted_assistant_takes_its_threads_along_only_when_asked(sdk: Sdk, tmp_path: Path) -> None:
    for delete_threads in (False, True):
        made = await sdk.assistants.create("steps")
        thread_id = await new_thread(sdk)
        running = await sdk.runs.create(thread_id, made["assistant_id"], input=held(tmp_path))
        await sdk.assistants.delete(made["assistant_id"], delete_threads=delete_threads)
        if not delete_threads:
            await sdk.runs.join(thread_id, running["run_id"])
            assert (await sdk.runs.get(thread_id, running["run_id"]))["status"] == "interrupted"
        assert len(await sdk.threads.search(ids=[thread_id])) == (0 if delete_threads else 1)
        with pytest.raises(NotFoundError):
            await sdk.assistants.get(made["assistant_id"])


async def test_the_pages_of_own_and_declared_assistants_are_one_list(sdk: Sdk) -> None:
    mark = {"mark": str(uuid4())}
    made = [(await sdk.assistants.create("talk", metadata=mark, name=name))["assistant_id"] for name in "abc"]
    pages = [await sdk.assistants.search(metadata=mark, limit=2, offset=offset) for offset in (0, 2)]
    assert [each["assistant_id"] for page in pages for each in page] == made[::-1]
    page = await sdk.assistants.search(metadata=mark, limit=2, sort_by="name", response_format="object")
    assert ([each["name"] for each in page["assistants"]], page["next"]) == (["a", "b"], "2")
    everybody = await sdk.assistants.search(limit=1000)
    assert [each["graph_id"] for each in everybody][: len(GRAPHS)] == GRAPHS
