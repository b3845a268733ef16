"""Which methods the installed SDK has, and the proof that each has here; docs/reference/client-methods.md is made of both."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from langgraph_sdk import __version__ as sdk_version
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk._async.stream import AsyncThreadStream
from langgraph_sdk._sync.stream import SyncThreadStream

from tests.service.sdk import Sdk

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "client-methods.md"
COMMAND = "python -m tests.service.client_methods"

TRANSPORT = "http"  # what all of these send their requests with
STREAMS = "thread stream"  # what threads.stream() gives
THREAD_STREAMS: dict[str, type] = {"async": AsyncThreadStream, "sync": SyncThreadStream}

Proof = Callable[[Sdk], Awaitable[None]]


@dataclass(frozen=True)
class Row:
    """A method, and how its call is proven."""

    method: str
    proof: Proof


ROWS: dict[str, Row] = {}


def works(method: str) -> Callable[[Proof], Proof]:
    """The decorated coroutine calls it through either client, and looks at what came of it."""

    def register(proof: Proof) -> Proof:
        assert method not in ROWS, method
        ROWS[method] = Row(method, proof)
        return proof

    return register


def sdk_methods() -> dict[str, set[str]]:
    """By method, the clients that have it: async, sync."""
    found: dict[str, set[str]] = {}
    for kind, client in (("async", get_client(url="http://none")), ("sync", get_sync_client(url="http://none"))):
        parts = cast("dict[str, object]", vars(client))
        owners: dict[str, type] = {name: type(part) for name, part in parts.items() if name != TRANSPORT}
        for resource, owner in {**owners, STREAMS: THREAD_STREAMS[kind]}.items():
            for name in _public(owner):
                found.setdefault(f"{resource}.{name}", set()).add(kind)
    return found


def _public(owner: type) -> list[str]:
    return [
        name
        for name, member in inspect.getmembers(owner)
        if not name.startswith("_") and (callable(member) or isinstance(member, property))
    ]


def page(rows: Mapping[str, Row]) -> str:
    """The reference page."""
    lines = [
        "# Methods of langgraph-sdk",
        "",
        f"<!-- Made by {COMMAND}; a test compares it, and calls every method. -->",
        "",
        f"Every public method of the clients of langgraph-sdk {sdk_version}, asynchronous and synchronous. Each that works is called by",
        'a test over HTTP; thread streams also by WebSocket (`transport="websocket"`).',
        "",
        "| method | here |",
        "|---|---|",
    ]
    for method in sorted(sdk_methods()):
        lines.append(f"| `{method}` | {'works' if method in rows else 'missing'} |")
    return "\n".join([*lines, ""])
