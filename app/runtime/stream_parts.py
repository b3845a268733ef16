"""LangGraph's stream parts as the events that SDK clients know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import orjson
import pydantic_core
from langchain_core.language_models._compat_bridge import (
    message_to_events,  # LangGraph's own way, without a public name
)
from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message

# What a client may ask for, and the mode of LangGraph that gives it.
MODES = {
    "values": "values",
    "updates": "updates",
    "messages": "messages",
    "messages-tuple": "messages",
    "custom": "custom",
    "tasks": "tasks",
    "checkpoints": "checkpoints",
    "debug": "debug",
}


EVENTS = "events"
"""LangChain's events of everything in the graph, which are no mode of LangGraph's."""


PROTOCOL_MODES = ("values", "updates", "messages", "tools", "custom", "tasks", "checkpoints")
"""What a run shows that is followed by the event streaming protocol (the SDK's threads.stream)."""


def graph_modes(wanted: Sequence[str]) -> list[str]:
    """LangGraph's modes for those of a client; always with values, which the run's result is taken from."""
    return list(dict.fromkeys(["values", *(MODES[mode] for mode in wanted if mode != EVENTS)]))


def to_json(value: Any) -> bytes:
    """Any state as JSON: messages and models by their own rules, what has none by its text."""
    try:
        return orjson.dumps(value, default=_default, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError):
        # Numbers beyond 64 bits, sets of models and other rare things that orjson refuses.
        return pydantic_core.to_json(value, serialize_unknown=True, bytes_mode="base64", inf_nan_mode="null")


def contains(value: Any, wanted: Any) -> bool:
    """PostgreSQL's rule for JSON: objects by the keys that are wanted, lists by elements in any order."""
    if isinstance(wanted, Mapping):
        parts = cast("Mapping[str, Any]", wanted)
        return isinstance(value, Mapping) and all(
            key in value and contains(value[key], part) for key, part in parts.items()
        )
    if isinstance(wanted, list):
        elements = cast("list[Any]", wanted)
        held = cast("list[Any]", value) if isinstance(value, list) else []
        return isinstance(value, list) and all(any(contains(one, part) for one in held) for part in elements)
    return value == wanted


def _default(value: Any) -> Any:
    if isinstance(value, BaseMessage):
        return value.model_dump()
    return pydantic_core.to_jsonable_python(value, serialize_unknown=True, bytes_mode="base64", inf_nan_mode="null")


class EventMaker:
    """Makes the events of one run. `messages` are joined token by token, so it has a memory."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self._wanted = frozenset(wanted)
        self._joined: dict[str, BaseMessage] = {}

    def events(self, namespace: tuple[str, ...], mode: str, part: Any) -> Iterator[tuple[str, bytes]]:
        """(event, JSON data) pairs for a part; none when the client did not ask for its mode."""
        suffix = _suffix(namespace)
        if mode == "messages":
            yield from self._message_events(suffix, part)
        elif mode in self._wanted:
            yield mode + suffix, to_json(part)

    def _message_events(self, suffix: str, part: Any) -> Iterator[tuple[str, bytes]]:
        if "messages-tuple" in self._wanted:
            yield "messages" + suffix, to_json(part)
        if "messages" in self._wanted:
            message, metadata = cast("tuple[BaseMessage, dict[str, Any]]", part)
            key = message.id or ""
            known = self._joined.get(key)
            if known is None:
                yield "messages/metadata" + suffix, to_json({key: {"metadata": metadata}})
            if isinstance(message, BaseMessageChunk):
                both = cast("BaseMessage", known + message) if isinstance(known, BaseMessageChunk) else message
                self._joined[key] = both
                yield "messages/partial" + suffix, to_json([message_chunk_to_message(cast("Any", both))])
            else:
                self._joined[key] = message
                yield "messages/complete" + suffix, to_json([message])


class ProtocolEventMaker:
    """Makes the events of a run for the protocol, which tells of messages part by part."""

    def __init__(self) -> None:
        self._message_ids: dict[str, str] = {}

    def events(self, namespace: tuple[str, ...], mode: str, part: Any) -> Iterator[tuple[str, bytes]]:
        suffix = _suffix(namespace)
        if mode == "checkpoints":
            yield mode + suffix, to_json(_checkpoint(part))
        elif mode == "messages":
            for data in self._message_parts(*cast("tuple[Any, dict[str, Any]]", part)):
                yield mode + suffix, to_json(data)
        else:
            yield mode + suffix, to_json(part)

    def _message_parts(self, content: Any, metadata: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Each with its message's id: of several models that talk at once, the SDK finds whose part it is by that."""
        whole = isinstance(content, BaseMessage)
        for part in message_to_events(content, message_id=content.id) if whole else (content,):
            data = dict(cast("Mapping[str, Any]", part))
            run = "" if whole else str(metadata.get("run_id", ""))
            if data.get("event") == "message-start":
                self._message_ids[run] = str(data.get("id") or data.get("message_id") or run)
                data["metadata"] = {**(data.get("metadata") or {}), "langgraph_node": metadata.get("langgraph_node")}
            yield data | {"id": self._message_ids.get(run, run)}


def event_maker(wanted: Sequence[str], *, protocol: bool) -> EventMaker | ProtocolEventMaker:
    return ProtocolEventMaker() if protocol else EventMaker(wanted)


def _checkpoint(part: Mapping[str, Any]) -> dict[str, Any]:
    """The protocol has the address alone: the values are in other events."""
    metadata = cast("dict[str, Any]", part.get("metadata") or {})
    checkpoint: dict[str, Any] = {
        "id": _id_of(part.get("config")),
        "step": metadata.get("step"),
        "source": metadata.get("source"),
    }
    parent_id = _id_of(part.get("parent_config"))
    return checkpoint | ({"parent_id": parent_id} if parent_id else {})


def _id_of(config: Any) -> str | None:
    return config["configurable"].get("checkpoint_id") if config else None


def _suffix(namespace: tuple[str, ...]) -> str:
    return "|" + "|".join(namespace) if namespace else ""
