"""Wake-ups between processes: something happened to a topic, look at the database. They carry no data.

By NOTIFY, or by Valkey while it is healthy; every process listens to all paths it has, so nobody depends on which one
another uses. A wake-up may come twice or for nothing; one that is lost to a failing path is made up for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from app.runtime.postgres_signals import PostgresPath
from app.runtime.signal_path import Events, SignalPath, end
from app.runtime.valkey_connection import ValkeyConnection

# A payload of NOTIFY is shorter than 8,000 bytes (PostgreSQL 18 documentation, NOTIFY); 32 of it are the sender's id.
LONGEST_TOPIC_BYTES = 7900
EVERYTHING = ""
"""Stands for all topics at once."""
MOST_UNSENT = 10_000  # topics kept for when a path comes back; above it they become EVERYTHING

CHECK_SECONDS = 4.0  # silence is noticed within twice this time, that is before 10 s
TELL_SECONDS = 15.0  # how often a process that does not hear Valkey says so
BELIEVED_SECONDS = 40.0  # for how long the others then use NOTIFY too: two reminders may be lost
SETTLE_SECONDS = 1.0  # by then the others have taken notice
CLOSE_SECONDS = 1.0  # for what was published last


class Signals:
    """One for each process. All but `open` and `close` are plain calls, from the event loop's thread only."""

    def __init__(
        self,
        connection_string: Callable[[], str],
        valkey: ValkeyConnection | None = None,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._unsent: dict[str, None] = {}  # each topic once, in the order of publication
        self._work = asyncio.Event()
        self._paths_changed = asyncio.Event()
        self._others_without_valkey_until = 0.0
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []
        sender, events = uuid4().hex, Events(self._heard, self._opened, self._lost)
        self._postgres = PostgresPath(sender, events, check_seconds, connection_string, self._use_notify_too)
        self._valkey: SignalPath | None = None
        if valkey:
            from app.runtime.valkey_signals import ValkeyPath  # its client takes time to import

            self._valkey = ValkeyPath(sender, events, check_seconds, valkey)
        self._paths: tuple[SignalPath, ...] = (self._postgres, *((self._valkey,) if self._valkey else ()))

    async def open(self) -> None:
        """Returns at once; each path opens as soon as its server can be reached."""
        duties: list[Coroutine[Any, Any, None]] = [path.stay_open() for path in self._paths]
        duties += [self._tell_when_without_valkey(), self._send_forever()]
        self._tasks = [asyncio.create_task(duty, name="signals") for duty in duties]

    async def close(self) -> None:
        """What was published is sent first, where a path is open: a process that stops hands its work over so."""
        if not self._tasks:
            return
        self._closing = True
        self._work.set()
        await asyncio.wait(self._tasks[-1:], timeout=CLOSE_SECONDS)
        await end(self._tasks)
        self._tasks = []

    def publish(self, *topics: str) -> None:
        """Wakes this process's waiters at once and the others' soon; never waits, never fails."""
        for topic in topics:
            self._wake(topic)
            if is_topic(topic):  # nobody can wait for any other
                self._keep(topic)
        self._work.set()

    @contextmanager
    def subscribe(self, topic: str) -> Generator[asyncio.Event]:
        """The event is set at each publication, and whenever one may have been missed; who waits clears it."""
        if not is_topic(topic):
            raise ValueError(f"topic={topic[:40]!r}: not 1 to {LONGEST_TOPIC_BYTES} bytes of UTF-8 without NUL")
        event = asyncio.Event()
        events = self._waiting.setdefault(topic, set())
        events.add(event)
        try:
            yield event
        finally:
            events.discard(event)
            if not events and self._waiting.get(topic) is events:
                del self._waiting[topic]

    def reason_degraded(self) -> str | None:
        """Which path is away, without host names; None when all that are configured are open."""
        away = [f"wake-ups cannot go through {path.name} ({path.reason})" for path in self._paths if path.reason]
        return "; ".join(away) or None

    def away(self) -> dict[str, bool]:
        """Each configured path and whether it is away."""
        return {path.name: not path.is_open for path in self._paths}

    def _wake(self, topic: str) -> None:
        for event in self._waiting.get(topic, ()):
            event.set()

    def _wake_all(self) -> None:
        for topic in self._waiting:
            self._wake(topic)

    def _keep(self, topic: str) -> None:
        if EVERYTHING not in self._unsent:
            self._unsent[topic] = None
        if len(self._unsent) > MOST_UNSENT:
            self._unsent = {EVERYTHING: None}

    def _heard(self, topics: Sequence[str]) -> None:
        for topic in topics:
            if topic == EVERYTHING:
                self._wake_all()
            else:
                self._wake(topic)

    def _opened(self, path: SignalPath) -> None:
        if path is self._postgres:
            self._use_notify_too()  # somebody may have asked for it while we could not hear
            self._paths_changed.set()
        self._wake_all()
        self._work.set()

    def _lost(self, path: SignalPath) -> None:
        if path is self._valkey:
            self._wake_all()
            self._paths_changed.set()

    def _use_notify_too(self) -> None:
        self._others_without_valkey_until = asyncio.get_running_loop().time() + BELIEVED_SECONDS

    async def _send_forever(self) -> None:
        """All that is published within one turn of the event loop goes out together."""
        while not self._closing or self._unsent:
            await self._work.wait()
            self._work.clear()
            while self._unsent and any(path.is_open for path in self._paths):
                topics, self._unsent = list(self._unsent), {}
                if not await self._send(topics):
                    later, self._unsent = self._unsent, {}
                    for topic in (*topics, *later):
                        self._keep(topic)
                    break

    async def _send(self, topics: Sequence[str]) -> bool:
        """Whether every process that listens somewhere was told."""
        told = self._valkey is not None and await self._valkey.send(topics)
        if told and asyncio.get_running_loop().time() > self._others_without_valkey_until:
            return True
        return await self._postgres.send(topics)

    async def _tell_when_without_valkey(self) -> None:
        """Also where none is configured: another process may have a newer configuration than this one."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(SETTLE_SECONDS)  # a process that starts has not heard Valkey yet
        while True:
            if self._valkey is None or not self._valkey.is_open:
                await self._postgres.tell_without_valkey()
            with suppress(TimeoutError):
                async with asyncio.timeout(TELL_SECONDS):
                    await self._paths_changed.wait()
                self._paths_changed.clear()
                # Until the others had taken notice, they may have used Valkey alone.
                loop.call_later(SETTLE_SECONDS, self._wake_all)


def is_topic(text: str) -> bool:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= LONGEST_TOPIC_BYTES and "\0" not in text
