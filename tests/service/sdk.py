"""The service on a port of its own for the real langgraph-sdk, and both of its clients behind one interface."""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from langgraph_sdk.client import SyncLangGraphClient, SyncThreadsClient
from langgraph_sdk.schema import StreamPart

from app.api.application import create_app
from app.settings import Settings
from tests.service.waiting import eventually_sync

CONVERSATION = Path(__file__).parent / "projects" / "conversation" / "langgraph.json"
Sdk = Any
"""A LangGraphClient. Its own annotations leave most answers half known, which strict checking does not take."""

CHAT_ORIGIN = "https://chat.example.com"
END = object()


@contextmanager
def served(settings: Settings) -> Generator[str]:
    """The URL of the application, which runs in a thread with an event loop of its own."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None, access_log=False))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            eventually_sync(lambda: server.started or not thread.is_alive())
            assert server.started
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class _InThreads:
    """A sync client behind the async one's interface."""

    def __init__(self, client: object) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return _InThreads(found)
        if isinstance(self._client, SyncThreadsClient) and name == "stream":
            return found
        in_thread: Callable[..., Any] = partial(asyncio.to_thread, found)
        streamed: Callable[..., Any] = partial(_iterated, cast("Callable[..., Any]", found))
        return streamed if name in {"stream", "join_stream"} else in_thread


async def _iterated(
    stream: Callable[..., Iterator[StreamPart]], *args: object, **kwargs: object
) -> AsyncIterator[StreamPart]:
    parts = stream(*args, **kwargs)
    while (part := await asyncio.to_thread(next, parts, END)) is not END:
        yield cast("StreamPart", part)


def as_async(client: SyncLangGraphClient) -> Sdk:
    return _InThreads(client)


async def collected(parts: AsyncIterator[Any]) -> list[Any]:
    return [part async for part in parts]


def data_of(parts: list[Any], event: str) -> list[Any]:
    return [part.data for part in parts if part.event == event]


async def new_thread(sdk: Sdk) -> str:
    return (await sdk.threads.create())["thread_id"]


def held(folder: Path) -> Any:
    """An input whose run waits in the middle for the file `release`, and says so by the file `reached`."""
    return {"reached": str(folder / "reached"), "release": str(folder / "release")}


@asynccontextmanager
async def followed(sdk: Sdk, assistant_id: str, thread_id: str | None = None, **options: Any) -> AsyncGenerator[Any]:
    """What either client's threads.stream() opens. The synchronous one blocks; the service has a thread of its own."""
    opened = sdk.threads.stream(thread_id, assistant_id=assistant_id, **options)
    if hasattr(opened, "__aenter__"):
        async with opened as thread:
            try:
                yield thread
            finally:
                await _watched(thread)
    else:
        with opened as thread:
            yield thread


async def _watched(thread: Any) -> None:
    """Wait until the session's own stream is open, or over.

    Python 3.11's asyncio.wait_for swallows a cancellation that comes as what it waits for arrives (bpo-37658): a session
    that is closed at that moment waits for its stream for ever.
    """
    while (task := thread._lifecycle_watcher_task) is not None and not task.done():
        handle = thread._lifecycle_watcher_handle
        is_open = handle is not None and handle.ready.done()
        await asyncio.sleep(0.02)  # once more after it is: the waiting task has gone on then
        if is_open:
            return


async def now(value: Any) -> Any:
    """What either client answers."""
    return await value if inspect.isawaitable(value) else value


async def each(values: Any) -> AsyncIterator[Any]:
    if hasattr(values, "__aiter__"):
        async for value in values:
            yield value
    else:
        for value in values:
            yield value
