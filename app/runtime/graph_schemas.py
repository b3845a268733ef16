"""JSON schemas of what a graph takes, keeps and gives; None for what has no schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from langgraph.channels.base import BaseChannel
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.pregel.protocol import PregelProtocol
from pydantic import TypeAdapter, create_model
from typing_extensions import TypedDict  # pydantic refuses typing's own before Python 3.12

from app.runtime.graph_config import AnyGraph

JsonSchema = dict[str, Any]
Describable = PregelProtocol[Any, Any, Any, Any]


class Schemas(TypedDict):
    """A graph's schemas under the names that clients know."""

    input_schema: JsonSchema | None
    output_schema: JsonSchema | None
    state_schema: JsonSchema | None
    config_schema: JsonSchema | None
    context_schema: JsonSchema | None


def schemas_of(graph: Describable) -> Schemas:
    """A graph that runs elsewhere does not tell its schemas."""
    if not isinstance(graph, Pregel):
        return Schemas(
            input_schema=None, output_schema=None, state_schema=None, config_schema=None, context_schema=None
        )
    return Schemas(
        input_schema=_made(graph.get_input_jsonschema) or _by_key(graph, "Input", _keys(graph, "input_schema")),
        output_schema=_made(graph.get_output_jsonschema) or _by_key(graph, "Output", _keys(graph, "output_schema")),
        state_schema=_by_key(graph, "State", graph.stream_channels_list),
        config_schema={},  # config.configurable may be anything; what a graph declares is its context
        context_schema=_made(graph.get_context_jsonschema),
    )


def _keys(graph: AnyGraph, schema: str) -> Iterable[str]:
    if not isinstance(graph, CompiledStateGraph):
        return ()
    return cast("dict[str, object]", graph.builder.schemas[getattr(graph.builder, schema)])


def _made(make: Callable[[], JsonSchema | None]) -> JsonSchema | None:
    try:
        return make()
    except Exception:
        # Any type can be in a state. Pydantic has an error of its own for each that JSON cannot describe, and its
        # hooks are code of the graph's author.
        return None


def _by_key(graph: AnyGraph, kind: str, keys: Iterable[str]) -> JsonSchema | None:
    """Key by key, with anything allowed where a type has no schema; None without keys.

    Pydantic refuses a whole typing.TypedDict before Python 3.12, although each of its keys may be fine.
    """
    fields = {key: (_describable(_update_type(graph, key)), None) for key in keys}
    if not fields:
        return None
    return _made(lambda: create_model(graph.get_name(kind), **cast("dict[str, Any]", fields)).model_json_schema())


def _update_type(graph: AnyGraph, key: str) -> Any:
    channel = cast("object", graph.channels.get(key))
    return channel.UpdateType if isinstance(channel, BaseChannel) else Any


def _describable(kind: Any) -> Any:
    return Any if _made(lambda: TypeAdapter(kind).json_schema()) is None else kind
