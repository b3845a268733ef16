"""Wake-ups by LISTEN and NOTIFY, on one direct connection of the process: no pooler keeps a LISTEN."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import AsyncConnection, Notify, OperationalError
from psycopg.conninfo import make_conninfo

from app.runtime.connection import CONNECTION
from app.runtime.signal_path import BATCH, Events, SignalPath

SIGNALS, WITHOUT_VALKEY = "agent_signals", "agent_without_valkey"
TELL = "SELECT count(pg_notify(%s, payload)) FROM unnest(%s::text[]) AS payload"


@dataclass(frozen=True)
class _Link:
    """A connection, and a descriptor of our own for its socket: libpq closes its own as soon as it finds it broken."""

    connection: AsyncConnection[Any]
    descriptor: socket.socket

    def cut(self) -> None:
        """Whoever waits for the connection sees its end at once."""
        with suppress(OSError):
            self.descriptor.shutdown(socket.SHUT_RDWR)


class PostgresPath(SignalPath):
    """A payload is the sender's id and a topic; what comes back from ourselves is passed over."""

    name = "PostgreSQL"

    def __init__(
        self,
        sender: str,
        events: Events,
        check_seconds: float,
        connection_string: Callable[[], str],
        without_valkey: Callable[[], None],
    ) -> None:
        super().__init__(sender, events, check_seconds)
        self._connection_string = connection_string
        self._without_valkey = without_valkey
        self._one_statement = asyncio.Lock()
        self._link: _Link | None = None

    async def send(self, topics: Sequence[str]) -> bool:
        payloads = [self._sender + topic for topic in topics]
        batches = [payloads[start : start + BATCH] for start in range(0, len(payloads), BATCH)]
        return all([await self._tell(SIGNALS, batch) for batch in batches])

    async def tell_without_valkey(self) -> bool:
        """Asks every process to use NOTIFY too, since this one would not hear it otherwise."""
        return await self._tell(WITHOUT_VALKEY, [self._sender])

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[None]:
        named = {**CONNECTION, "application_name": "langgraph-agent signals"}
        connection = await AsyncConnection.connect(make_conninfo(self._connection_string(), **named), autocommit=True)
        connection.add_notify_handler(self._hear)
        with socket.socket(fileno=os.dup(connection.fileno())) as descriptor:
            self._link = _Link(connection, descriptor)
            try:
                await self._execute(f"LISTEN {SIGNALS}; LISTEN {WITHOUT_VALKEY}")
                yield
            finally:
                self._link = None
                asyncio.get_running_loop().remove_reader(descriptor.fileno())
                await connection.close()

    def _duties(self) -> Sequence[Coroutine[Any, Any, None]]:
        return [self._check()]

    async def _check(self) -> None:
        """A connection whose other side vanished says nothing: it has to be asked."""
        while True:
            await asyncio.sleep(self._check_seconds)
            await self._execute("SELECT 1")

    async def _tell(self, channel: str, payloads: Sequence[str]) -> bool:
        if not self.is_open:
            return False
        try:
            await self._execute(TELL, (channel, list(payloads)))
        except Exception as failure:  # whatever it was, the path is in doubt
            self._fail(failure)
            return False
        return True

    async def _execute(self, statement: LiteralString, parameters: Sequence[Any] = ()) -> None:
        loop = asyncio.get_running_loop()
        async with self._one_statement:
            link = self._link
            if link is None:
                raise OperationalError("the connection is closed")
            # While a statement runs, psycopg reads the socket itself, notifications included.
            loop.remove_reader(link.descriptor.fileno())
            # Cancelling would ask the server and wait for its answer, which may never come.
            deadline = loop.call_later(self._check_seconds, link.cut)
            try:
                await link.connection.execute(statement, parameters or None)
            finally:
                deadline.cancel()
            loop.add_reader(link.descriptor.fileno(), self._read, link)

    def _read(self, link: _Link) -> None:
        """Takes the notifications that arrived while no statement was running."""
        connection = link.connection.pgconn
        try:
            connection.consume_input()
        except OperationalError as failure:
            asyncio.get_running_loop().remove_reader(link.descriptor.fileno())
            self._fail(failure)
            return
        while notice := connection.notifies():
            self._hear(Notify(notice.relname.decode(), notice.extra.decode(), notice.be_pid))

    def _hear(self, notice: Notify) -> None:
        sender, topic = notice.payload[: len(self._sender)], notice.payload[len(self._sender) :]
        if sender == self._sender:
            return
        if notice.channel == SIGNALS:
            self._events.heard((topic,))
        else:
            self._without_valkey()
