"""Assistants, through the real langgraph-sdk."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import pytest
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from tests.service.sdk import Sdk

pytestmark = pytest.mark.anyio

GRAPHS = ["talk", "survey", "pair", "beside", "nested", "steps"]
# The namespace by which LangGraph's own servers make the id (langgraph-api, graph.py).
LANGGRAPH_NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")


async def test_every_graph_has_an_assistant_under_its_name_with_the_id_langgraphs_servers_give_it(
    sdk: Sdk,
) -> None:
    found = await sdk.assistants.search()
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
        return [assistant["name"] for assistant in await sdk.assistants.search(**asked)]

    assert await names(graph_id="pair") == ["pair"]
    assert await names(name="E") == ["survey", "beside", "nested", "steps"]
    assert await names(metadata={"created_by": "somebody"}) == []
    assert await names(sort_by="name") == sorted(GRAPHS)
    assert await names(sort_by="name", sort_order="desc", limit=2, offset=1) == sorted(GRAPHS, reverse=True)[1:3]
    assert await sdk.assistants.search(graph_id="talk", select=["graph_id", "version"]) == [
        {"graph_id": "talk", "version": 1}
    ]
    assert await sdk.assistants.count() == len(GRAPHS)
    assert await sdk.assistants.count(name="e") == 4
    with pytest.raises(NotFoundError):
        await sdk.assistants.search(graph_id="nobody")
    with pytest.raises(UnprocessableEntityError, match="limit"):
        await sdk.assistants.search(limit=-1)


async def test_the_pages_of_a_search_lead_to_its_end(sdk: Sdk) -> None:
    names: list[str] = []
    offset: str | None = "0"
    while offset is not None:
        page = await sdk.assistants.search(limit=2, offset=int(offset), response_format="object")
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
