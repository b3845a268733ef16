"""Carries out the commands of the event streaming protocol."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from app.api import runs
from app.api.errors import fault
from app.api.protocol_bodies import Command, CommandAnswer, ErrorCode, InputResponse, Meta, RunStart, Started
from app.runtime.problems import NothingToAnswer, Problem, UnknownThread
from app.runtime.protocol_events import first_sequence
from app.runtime.service import Service
from app.security.caller import Caller

# The protocol's other commands, by what serves them here.
ROUTES = {
    "subscription.subscribe": "POST /threads/{thread_id}/stream/events",
    "subscription.unsubscribe": "the end of the connection",
    "subscription.reconnect": "POST /threads/{thread_id}/stream/events with since",
    "agent.getTree": "GET /assistants/{assistant_id}/graph",
    "input.inject": "POST /threads/{thread_id}/runs",
    "state.get": "GET /threads/{thread_id}/state",
    "state.listCheckpoints": "POST /threads/{thread_id}/history",
    "state.fork": "POST /threads/{thread_id}/state",
}


async def carry_out(service: Service, caller: Caller, thread_id: str, command: Command) -> CommandAnswer:
    """Starts a run. Raises what HTTP has a status for: no such thread, and what a repetition may not meet."""
    try:
        if command.method == "run.start":
            body = RunStart.model_validate(command.params)
        elif command.method == "input.respond":
            body = await _answering(service, caller, thread_id, InputResponse.model_validate(command.params))
        elif served := ROUTES.get(command.method):
            return _refused(command, "not_supported", f"method={command.method!r}: is no command here. Use {served}.")
        else:
            return _refused(
                command, "unknown_command", f"method={command.method!r}: unknown. Known: run.start, input.respond."
            )
        run = (await runs.accept(service, caller, thread_id, body, None, recorded=True)).run
    except ValidationError as failure:
        error: dict[str, Any] = dict(failure.errors()[0])
        return _refused(command, "invalid_argument", fault(error["loc"], error["msg"], "params")[1])
    except NothingToAnswer as problem:
        return _refused(command, "no_such_interrupt", problem.message)
    except Problem as problem:
        if problem.retry_after or isinstance(problem, UnknownThread):
            raise
        return _refused(command, "invalid_argument", problem.message)
    # The client subscribes after this answer, to what is above the number: to all of the run.
    meta = Meta(applied_through_seq=first_sequence(run.number))
    return CommandAnswer(type="success", id=command.id, result=Started(run_id=str(run.run_id)), meta=meta)


async def _answering(service: Service, caller: Caller, thread_id: str, answer: InputResponse) -> RunStart:
    """A run by the assistant that asked."""
    await service.threads.get(caller, thread_id)
    asking = await service.results.of_thread(caller, thread_id, None, 1, 0)
    if not asking:
        raise NothingToAnswer(f"interrupt_id: thread {thread_id} had no run, so nothing waits for an answer.")
    resume = {answer.interrupt_id: answer.response}
    return RunStart.model_validate({"assistant_id": asking[0].assistant_id, "command": {"resume": resume}})


def _refused(command: Command, code: ErrorCode, message: str) -> CommandAnswer:
    return CommandAnswer(type="error", id=command.id, error=code, message=message)
