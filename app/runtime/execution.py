"""Runs a graph once on a thread, as its only writer, and says how it ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphRecursionError
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from app.observability.logs import frames, logged_as
from app.observability.metrics import Metrics
from app.runtime.checkpoints import PooledSaver
from app.runtime.graph_config import AnyGraph
from app.runtime.graphs import Graphs
from app.runtime.problems import InvalidInput, Problem, RunFailed, RunTimedOut, Unavailable
from app.runtime.thread_leases import ThreadLeases
from app.runtime.threads import GRAPH_KEY, Threads, ThreadState, thread_state

log = logging.getLogger(__name__)

STOPPING_RETRY_SECONDS = 5


@dataclass(frozen=True)
class Outcome:
    """A run that ended: with a result, or waiting for an answer to an interrupt."""

    run_id: str
    status: str
    state: ThreadState


def _refuse_foreign_keys(graph: AnyGraph, name: str, given: dict[str, Any]) -> None:
    """LangGraph ignores keys it does not know; an input of nothing else is a mistake."""
    if given and not given.keys() & graph.channels.keys():
        known = ", ".join(key for key in graph.channels if not key.startswith(("__", "branch:")))
        raise InvalidInput(f"input: has no key that graph {name!r} takes. It takes: {known}.", field="input")


@dataclass(frozen=True)
class Limits:
    run_seconds: float
    recursion: int


class Executor:
    """Counts its runs, so that a stopping process can wait for them."""

    def __init__(
        self,
        saver: PooledSaver,
        graphs: Graphs,
        threads: Threads,
        leases: ThreadLeases,
        metrics: Metrics,
        limits: Limits,
    ) -> None:
        self._saver = saver
        self._graphs = graphs
        self._threads = threads
        self._leases = leases
        self._metrics = metrics
        self._limits = limits
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False

    async def execute(self, thread_id: str, graph: str | None, given: dict[str, Any]) -> Outcome:
        """The run itself. It belongs to the thread, not to the caller's connection."""
        if self.draining:
            raise Unavailable("This process is stopping.", retry_after=STOPPING_RETRY_SECONDS)
        if graph is not None:
            self._graphs.require(graph)
        run_id = str(uuid4())
        with self._counted(), logged_as(thread_id=thread_id, run_id=run_id):
            async with self._leases.hold(thread_id):
                name = await self._threads.require_same_graph(thread_id, graph)
                return await self._run(run_id, thread_id, name, given)

    async def drain(self, seconds: float) -> bool:
        """Refuses new runs and waits for those in progress; false when some were left."""
        self.draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            log.warning("runs left at the end of draining", extra={"fields": {"runs": self._active}})
            return False
        return True

    async def _run(self, run_id: str, thread_id: str, name: str, given: dict[str, Any]) -> Outcome:
        started = time.monotonic()
        status = "error"
        try:
            async with asyncio.timeout(self._limits.run_seconds):
                state = await self._invoke(thread_id, name, run_id, given)
            status = "interrupted" if state.interrupts else "success"
            return Outcome(run_id, status, state)
        except TimeoutError:
            status = "timeout"
            raise RunTimedOut(
                f"The run took longer than {self._limits.run_seconds:g} s and was stopped;"
                " the steps it finished are kept."
            ) from None
        finally:
            self._metrics.runs.labels(status).inc()
            duration = round(time.monotonic() - started, 4)
            log.info("run", extra={"fields": {"graph": name, "status": status, "duration_seconds": duration}})

    async def _invoke(self, thread_id: str, name: str, run_id: str, given: dict[str, Any]) -> ThreadState:
        config: RunnableConfig = {
            "configurable": {"thread_id": thread_id},
            "metadata": {GRAPH_KEY: name, "run_id": run_id},
            "recursion_limit": self._limits.recursion,
        }
        accepted = False
        try:
            async with self._graphs.open(name, config, self._saver) as graph:
                _refuse_foreign_keys(graph, name, given)
                context = self._graphs.context(graph)
                # The first value is the state with the input in it: a failure before it is the input's.
                async for _ in graph.astream(given, config, context=context, stream_mode="values", durability="sync"):
                    accepted = True
                return thread_state(thread_id, name, await graph.aget_state({"configurable": {"thread_id": thread_id}}))
        except (Problem, OperationalError, PoolTimeout):
            raise
        except GraphRecursionError:
            raise RunFailed(f"The run took more than {self._limits.recursion} steps and was stopped.") from None
        except Exception as failure:
            if not accepted:
                await self._saver.forget_run(thread_id, run_id)
                raise InvalidInput(
                    f"Graph {name!r} cannot take this input ({type(failure).__name__}).", field="input"
                ) from failure
            fields = {"error": type(failure).__name__, "frames": frames(failure.__traceback__)}
            log.error("a graph failed", extra={"fields": fields})  # noqa: TRY400  the message may quote a user
            raise RunFailed(f"Graph {name!r} failed ({type(failure).__name__}); its finished steps are kept.") from None

    @contextmanager
    def _counted(self) -> Generator[None]:
        self._active += 1
        self._idle.clear()
        self._metrics.active_workflows.set(self._active)
        try:
            yield
        finally:
            self._active -= 1
            self._metrics.active_workflows.set(self._active)
            if not self._active:
                self._idle.set()
