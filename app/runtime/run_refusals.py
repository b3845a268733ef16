"""Why a thread does not take a run: it is of another graph, or asks nothing that the run could answer."""

from __future__ import annotations

from collections.abc import Sequence

from app.runtime.problems import NothingToAnswer, WrongGraph
from app.runtime.run import NewRun, Run
from app.tables import threads
from app.tables.runs import Connection
from app.tables.threads import Thread


async def refuse_answer_to_nothing(connection: Connection, new: NewRun) -> None:
    if await threads.get(connection, new.caller, new.thread_id) is None:
        raise NothingToAnswer(
            f"command.resume: thread {new.thread_id} does not exist, so nothing waits there for an answer.",
            field="command.resume",
        )


def refuse_other_graph(thread: Thread, new: NewRun) -> None:
    if thread.graph_id and thread.graph_id != new.graph_id:
        raise WrongGraph(
            f"graph={new.graph_id!r}: thread {new.thread_id} belongs to graph {thread.graph_id!r}."
            " Leave graph out, or use another thread_id.",
            field="graph",
        )


def refuse_second_answer(thread: Thread, others: Sequence[Run], new: NewRun) -> None:
    """A question takes one answer: the first that is accepted."""
    if thread.status != "interrupted" or not thread.interrupts or others:
        raise NothingToAnswer(
            f"command.resume: no question of thread {new.thread_id} waits for an answer"
            " (it was answered already, or never asked).",
            field="command.resume",
        )
    if new.request.answers_by_id:
        unknown = sorted(new.request.answer.keys() - set(thread.interrupts))
        if unknown:
            raise NothingToAnswer(
                f"command.resume: no question {unknown[0]!r} waits on thread {new.thread_id}."
                f" Waiting: {', '.join(thread.interrupts)}.",
                field="command.resume",
            )
