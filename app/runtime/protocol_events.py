"""A run's events in the words of LangChain's event streaming protocol (package langchain_protocol).

The translation of a run depends on its stored events alone: whoever reads them again, anywhere, gets the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast
from uuid import UUID

import orjson

from app.runtime.graph_streams import INTERRUPT
from app.runtime.run import Outcome, Run
from app.tables.run_events import Event

ProtocolEvent = dict[str, Any]
Namespace = Sequence[str]

# Of a sequence number the lower bits count within the run, the upper ones are the run's number in the database: it grows
# over a thread's runs and stays within what JavaScript can count to (2^53) for 2^35 runs.
COUNT_BITS = 18
AS_THEY_ARE = frozenset({"messages", "tools", "tasks", "checkpoints"})
PHASES = {"success": "completed", "error": "failed", "timeout": "failed"}


def first_sequence(run_number: int) -> int:
    """Below all sequence numbers of the run, above those of the runs before it."""
    return run_number << COUNT_BITS


def run_number(sequence: int) -> int:
    return sequence >> COUNT_BITS


class RunTranslator:
    """Of one run, from its first event on."""

    def __init__(self, number: int, run_id: UUID, graph: str) -> None:
        self._first = first_sequence(number)
        self.run_id = run_id
        self._graph = graph
        self._count = 0
        self._requests: dict[str, tuple[Namespace, dict[str, Any]]] = {}  # questions, by their id
        self._open: dict[tuple[str, ...], str | None] = {}  # subgraphs in progress, with the task each is
        self._seen: set[tuple[str, ...]] = set()

    def events(self, event: Event) -> Iterator[ProtocolEvent]:
        method, *namespace = event.event.split("|")
        if not self._count:
            yield self._lifecycle((), "running")
        if method == "custom":
            yield self._event(method, namespace, {"payload": orjson.loads(event.data)})
        elif method == "values":
            data = self._without_questions(namespace, orjson.loads(event.data))
            if data:
                yield self._event(method, namespace, data)
        elif method == "updates":
            yield from self._updates(namespace, orjson.loads(event.data))
        elif method in AS_THEY_ARE:
            data = orjson.loads(event.data)
            if isinstance(data, dict):  # older kinds of messages are lists
                yield from self._as_it_is(method, namespace, cast("dict[str, Any]", data))

    @property
    def asked(self) -> bool:
        return bool(self._requests)

    def end(self, ended: Outcome | Run, questions: Sequence[dict[str, Any]] = ()) -> Iterator[ProtocolEvent]:
        """Questions are told of only now: before, the thread takes no answer. `questions` are those no event had."""
        if not self._count:
            yield self._lifecycle((), "running")
        phase = PHASES.get(ended.status, "interrupted")
        for namespace in sorted(self._open, key=len, reverse=True):
            yield self._lifecycle(namespace, phase)
        if phase == "interrupted":
            self._without_questions((), {INTERRUPT: questions})
            for namespace, request in self._requests.values():
                yield self._event("input.requested", namespace, request)
        yield self._lifecycle((), phase, ended.error)

    def _updates(self, namespace: Namespace, data: Any) -> Iterator[ProtocolEvent]:
        for node, values in cast("dict[str, Any]", data or {}).items():
            if node == INTERRUPT:
                self._without_questions(namespace, {INTERRUPT: values})
            elif not node.startswith("__"):
                yield self._event("updates", namespace, values if isinstance(values, dict) else {"value": values}, node)

    def _as_it_is(self, method: str, namespace: list[str], data: dict[str, Any]) -> Iterator[ProtocolEvent]:
        path = tuple(namespace)
        if method == "tasks" and path and path not in self._seen:
            self._seen.add(path)
            self._open[path] = path[-1].partition(":")[2]
            yield self._lifecycle(path, "started")
        if method == "messages" and "event" not in data:
            return
        if method == "checkpoints" and not isinstance(data.get("id"), str):
            return
        yield self._event(method, namespace, data)
        if method == "tasks" and "result" in data:
            for child, task in list(self._open.items()):
                if child[:-1] == path and task == data.get("id"):
                    del self._open[child]
                    failed, asks = data.get("error"), data.get("interrupts")
                    yield self._lifecycle(child, "interrupted" if asks else "failed" if failed else "completed")

    def _without_questions(self, namespace: Namespace, data: Any) -> Any:
        if not isinstance(data, dict) or INTERRUPT not in data:
            return cast("Any", data)
        state = cast("dict[str, Any]", data)
        for question in state[INTERRUPT]:
            value = question.get("value")
            # `payload` is the protocol's name for it, `value` what langgraph-sdk 0.4.14 reads.
            request = {"interrupt_id": question["id"], "payload": value, "value": value}
            self._requests.setdefault(question["id"], (namespace, request))
        return {key: value for key, value in state.items() if key != INTERRUPT}

    def _lifecycle(self, namespace: Namespace, phase: str, error: dict[str, str] | None = None) -> ProtocolEvent:
        graph = namespace[-1].partition(":")[0] if namespace else self._graph
        data = {"event": phase, "graph_name": graph} | ({"error": error["message"]} if error else {})
        return self._event("lifecycle", namespace, data)

    def _event(self, method: str, namespace: Namespace, data: Any, node: str | None = None) -> ProtocolEvent:
        self._count = min(self._count + 1, (1 << COUNT_BITS) - 1)
        params = {"namespace": list(namespace), "data": data} | ({"node": node} if node else {})
        return {
            "type": "event",
            "event_id": f"{self.run_id}:{self._count}",
            "seq": self._first + self._count,
            "method": method,
            "params": params,
        }
