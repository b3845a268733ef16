"""Executes one claim on its graph: applies the input once, goes on where a lost worker stopped, and says how it ended."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained, GraphRecursionError
from langgraph.runtime import RunControl
from langgraph.types import Command, StateSnapshot
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from app.observability.logs import frames
from app.runtime.checkpoints import PooledSaver
from app.runtime.commands import as_langgraph
from app.runtime.graph_config import AnyGraph
from app.runtime.graph_streams import INTERRUPT, parts_of
from app.runtime.graphs import Graphs
from app.runtime.problems import InvalidInput, LeaseLost
from app.runtime.run import Claim, Outcome, RunRequest
from app.runtime.store import Stores
from app.runtime.stream_parts import event_maker
from app.runtime.threads import GRAPH_KEY
from app.security.caller import Caller

log = logging.getLogger(__name__)

USER_KEY = "langgraph_auth_user"  # where LangGraph's own server tells graphs who asks; with _id the name alone
Emit = Callable[[str, bytes], Awaitable[None]]

# The database or this process is in trouble, not the graph: the run goes on elsewhere or later.
PASSED_ON = (OperationalError, PoolTimeout, LeaseLost, GraphDrained)


@dataclass(frozen=True)
class Limits:
    """Bounds that no request can raise."""

    run_seconds: float
    recursion: int


class Executor:
    """Runs claims; what it raises of `PASSED_ON` is the worker's to handle."""

    def __init__(self, saver: PooledSaver, stores: Stores, graphs: Graphs, limits: Limits) -> None:
        self._saver = saver
        self._stores = stores
        self._graphs = graphs
        self._limits = limits

    def seconds(self, claim: Claim) -> float:
        """How long the claim may take."""
        return min(claim.request.timeout_seconds or self._limits.run_seconds, self._limits.run_seconds)

    async def stopped(self, claim: Claim) -> Outcome:
        """How a run ends that was cancelled: the steps that ended are kept, and questions wait still."""
        config = self._config(claim)
        async with self._graphs.open(claim.graph_id, config, self._saver) as graph:
            snapshot = await graph.aget_state(_thread_only(config))
            if not snapshot.interrupts:
                # At its checkpoint: else with what a step stored that came to none, and the next input drops that.
                snapshot = await graph.aget_state(snapshot.config)
        ids = tuple(item.id for item in snapshot.interrupts)
        return Outcome("interrupted", snapshot.values, interrupts=ids, has_next=bool(snapshot.next))

    async def execute(self, claim: Claim, control: RunControl, emit: Emit) -> Outcome:
        """Raises OperationalError, PoolTimeout, LeaseLost or GraphDrained when the run has to go on in another claim."""
        config = self._config(claim)
        progress = _Progress()
        try:
            store = self._stores.of(Caller(claim.tenant, claim.owner, frozenset()))
            async with self._graphs.open(claim.graph_id, config, self._saver, store) as graph:
                command = claim.request.command
                given: Any = claim.request.input if command is None else as_langgraph(command)
                if not claim.is_first:
                    snapshot = await graph.aget_state(_thread_only(config))
                    written = set[str]() if _is_of(snapshot, claim) else await self._written(snapshot, claim)
                    if _is_of(snapshot, claim) or INTERRUPT in written:
                        if await _had_stopped(graph, snapshot, claim.request):
                            return _stopped(snapshot)
                        given, progress.accepted = None, True
                        progress.applied = (snapshot.metadata or {}).get("source") != "input"
                    elif written:
                        given, progress.accepted = _not_stored(claim.request), True
                if isinstance(given, dict):
                    _refuse_foreign_keys(graph, claim.graph_id, cast("dict[str, Any]", given))
                return await self._stream(graph, given, config, claim, control, emit, progress)
        except PASSED_ON:
            raise
        except InvalidInput as problem:
            return _refused(problem.message)
        except GraphRecursionError:
            limit = config.get("recursion_limit")
            return _failed("recursion_limit", f"The run took more than {limit} steps and was stopped.")
        except Exception as failure:
            return await self._failure(claim, failure, progress.accepted)

    async def _stream(
        self,
        graph: AnyGraph,
        given: Any,
        config: RunnableConfig,
        claim: Claim,
        control: RunControl,
        emit: Emit,
        progress: _Progress,
    ) -> Outcome:
        request = claim.request
        maker = event_maker(request.stream_modes, protocol=request.protocol) if claim.recorded else None
        # Else LangGraph hands over what a step showed only after it has stored the step.
        graph.stream_eager = claim.recorded
        values: Any = None
        questions: dict[str, Any] = {}
        parts = parts_of(
            graph,
            given,
            config,
            request,
            context=self._graphs.context(graph, request.context),
            control=control,
            recorded=claim.recorded,
        )
        async for namespace, mode, content in parts:
            progress.accepted = True
            shown = content
            if mode == "values" and not namespace:
                if not progress.applied:
                    progress.applied = True
                    continue
                values, questions = _with_questions(values, content, questions)
                shown = values
            if maker:
                for event, data in maker.events(namespace, mode, shown):
                    await emit(event, data)
        if questions:
            return Outcome("interrupted", values, interrupts=tuple(questions), has_next=True)
        if _has_breakpoints(graph, request) and (await graph.aget_state(_thread_only(config))).next:
            return Outcome("interrupted", values, has_next=True)
        return Outcome("success", values)

    async def _written(self, snapshot: StateSnapshot, claim: Claim) -> set[str]:
        """What a lost worker stored of a command, beside the checkpoint that the command goes on from."""
        checkpoint_id = snapshot.config.get("configurable", {}).get("checkpoint_id")
        if claim.request.command is None or checkpoint_id is None:
            return set()
        return await self._saver.written_by(claim.thread_id, checkpoint_id, claim.run_id)

    async def _failure(self, claim: Claim, failure: Exception, accepted: bool) -> Outcome:
        if not accepted and claim.is_first:
            # LangGraph keeps an input before it knows whether the graph can take it.
            await self._saver.forget_run(claim.thread_id, str(claim.run_id))
            name = type(failure).__name__
            return _refused(f"Graph {claim.graph_id!r} cannot take this input ({name}).")
        fields = {"error": type(failure).__name__, "frames": frames(failure.__traceback__)}
        log.error("a graph failed", extra={"fields": fields})  # the message may quote a user
        return _failed(
            "run_failed",
            f"Graph {claim.graph_id!r} failed ({type(failure).__name__}); its finished steps are kept.",
        )

    def _config(self, claim: Claim) -> RunnableConfig:
        asked = claim.request.config
        configurable = {
            key: value
            for key, value in cast("dict[str, Any]", asked.get("configurable") or {}).items()
            if not key.startswith(("__", USER_KEY))
        }
        # The service's own come last: a client's thread_id would read another thread (aegra#431).
        configurable |= {**(claim.request.checkpoint or {}), "thread_id": claim.thread_id}
        if claim.owner:
            user = {"identity": claim.owner, "tenant": claim.tenant}
            configurable |= {USER_KEY: user, f"{USER_KEY}_id": claim.owner}
        limit = min(int(asked.get("recursion_limit") or self._limits.recursion), self._limits.recursion)
        return {
            "configurable": configurable,
            "tags": list(cast("list[str]", asked.get("tags") or [])),
            # LangGraph takes a run up again where its last checkpoint's metadata has the same run_id.
            "metadata": {GRAPH_KEY: claim.graph_id, "run_id": str(claim.run_id)},
            "recursion_limit": limit,
        }


@dataclass
class _Progress:
    """What the graph has done with the input."""

    accepted: bool = False  # a failure before that is the input's
    applied: bool = True  # else LangGraph begins with the state from before the input, which no other run shows


def _with_questions(values: Any, content: Any, known: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The state with all its questions by id, as clients expect them.

    LangGraph sends every question alone, and after them the state once more, without any, when a node beside them ended.
    """
    if not isinstance(content, dict) or not (known or INTERRUPT in content):
        return cast("Any", content), known
    state = cast("dict[str, Any]", content)
    questions = known | {question.id: question for question in state.get(INTERRUPT, ())}
    before = cast("dict[str, Any]", values or {}) if INTERRUPT in state else {}
    return {**before, **state, INTERRUPT: tuple(questions.values())}, questions


def _has_breakpoints(graph: AnyGraph, request: RunRequest) -> bool:
    """No part of the stream says that one was reached."""
    asked = request.interrupt_before or request.interrupt_after
    return bool(asked or graph.interrupt_before_nodes or graph.interrupt_after_nodes)


def _not_stored(request: RunRequest) -> Command[Any] | None:
    """LangGraph stores an answer, an update and the next nodes at once; answers by the ids of questions it does not."""
    return Command(resume=request.answer) if request.answers_by_id else None


def _refuse_foreign_keys(graph: AnyGraph, name: str, given: dict[str, Any]) -> None:
    """LangGraph ignores keys it does not know; an input of nothing else is a mistake."""
    if given and not given.keys() & graph.channels.keys():
        known = ", ".join(key for key in graph.channels if not key.startswith(("__", "branch:")))
        raise InvalidInput(f"input: has no key that graph {name!r} takes. It takes: {known}.", field="input")


def _thread_only(config: RunnableConfig) -> RunnableConfig:
    return {"configurable": {"thread_id": config.get("configurable", {})["thread_id"]}}


def _is_of(snapshot: StateSnapshot, claim: Claim) -> bool:
    """Whether the run has a checkpoint, so that its input must not be given again."""
    return cast("dict[str, Any]", snapshot.metadata or {}).get("run_id") == str(claim.run_id)


async def _had_stopped(graph: AnyGraph, snapshot: StateSnapshot, request: RunRequest) -> bool:
    """Whether the lost worker had reached a question or a breakpoint and could only not say so any more.

    Going on would pass the breakpoint without the answer it waits for.
    """
    tasks = snapshot.tasks
    if any(task.interrupts for task in tasks):
        return all(task.interrupts or task.error or task.result is not None for task in tasks)
    if _names(request.interrupt_before, snapshot.next):
        return True
    if snapshot.next and request.interrupt_after and snapshot.parent_config:
        before = await graph.aget_state(snapshot.parent_config)
        return _names(request.interrupt_after, before.next)
    return False


def _names(breakpoints: object, nodes: tuple[str, ...]) -> bool:
    if breakpoints == "*":
        return bool(nodes)
    return bool(set(cast("list[str]", breakpoints or [])) & set(nodes))


def _stopped(snapshot: StateSnapshot) -> Outcome:
    values = snapshot.values
    if isinstance(values, dict):
        values = {**cast("dict[str, Any]", values), INTERRUPT: snapshot.interrupts}
    ids = tuple(item.id for item in snapshot.interrupts)
    return Outcome("interrupted", values, interrupts=ids, has_next=True)


def _refused(message: str) -> Outcome:
    return Outcome("error", error={"error": "invalid_input", "message": message}, interrupts=None)


def timed_out(seconds: float) -> Outcome:
    return _failed(
        "run_timeout",
        f"The run took longer than {seconds:g} s and was stopped; the steps it finished are kept.",
        status="timeout",
    )


def _failed(code: str, message: str, status: Any = "error") -> Outcome:
    return Outcome(status, error={"error": code, "message": message})
