"""A network that can fail: a TCP port before a real server, which can be closed, or go silent without closing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.service.backends import free_port

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Proxy:
    """Everything that reaches `port` goes on to the server, as long as the way is up."""

    connect: Callable[[], Awaitable[Streams]]
    port: int = field(default_factory=free_port)
    _server: asyncio.Server | None = field(default=None, init=False)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter], init=False)
    _silent: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter], init=False)

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def down(self) -> None:
        """Refuses new connections and closes those that there are."""
        if self._server is not None:
            self._server.close()
        self._server = None
        for writer in self._writers:
            writer.close()

    def silence(self) -> None:
        """The connections of now stay open and say nothing any more; later ones work."""
        self._silent |= self._writers

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward = await self.connect()
        except OSError:
            writer.close()
            return
        self._writers |= {writer, onward[1]}
        await asyncio.gather(self._pump(reader, onward[1]), self._pump(onward[0], writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while block := await reader.read(65536):
                if writer not in self._silent:
                    writer.write(block)
        except OSError:
            pass
        if writer not in self._silent:
            writer.close()


@asynccontextmanager
async def proxy_before_port(port: int) -> AsyncGenerator[Proxy]:
    proxy = Proxy(partial(asyncio.open_connection, "127.0.0.1", port))
    await proxy.up()
    try:
        yield proxy
    finally:
        await proxy.down()


@asynccontextmanager
async def proxy_before_database(database_url: str) -> AsyncGenerator[tuple[Proxy, str]]:
    """The proxy, and the connection string of the database through it."""
    database = conninfo_to_dict(database_url)
    socket_file = Path(str(database["host"])) / f".s.PGSQL.{database.get('port') or 5432}"
    proxy = Proxy(partial(asyncio.open_unix_connection, str(socket_file)))
    await proxy.up()
    try:
        yield proxy, make_conninfo(database_url, host="127.0.0.1", port=proxy.port)
    finally:
        await proxy.down()
