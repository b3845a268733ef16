"""What can be wrong with a request to the runtime; `app/api/errors.py` gives each its HTTP status."""

from __future__ import annotations


class Problem(Exception):
    """A request that cannot be done, with a stable code and a message for the caller."""

    code = "problem"

    def __init__(self, message: str, field: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after = retry_after


class UnknownThread(Problem):
    code = "unknown_thread"


class ThreadExists(Problem):
    code = "thread_exists"


class NoGraph(Problem):
    """The thread has no graph yet, which alone could read or write a state."""

    code = "no_graph"


class UnknownCheckpoint(Problem):
    code = "unknown_checkpoint"


class UnknownGraph(Problem):
    code = "unknown_graph"


class AssistantExists(Problem):
    code = "assistant_exists"


class SystemAssistant(Problem):
    """It is declared by langgraph.json, which alone changes it."""

    code = "system_assistant"


class UnknownVersion(Problem):
    code = "unknown_version"


class WrongGraph(Problem):
    """The thread's state was written by another graph."""

    code = "wrong_graph"


class ThreadBusy(Problem):
    code = "thread_busy"


class UnknownRun(Problem):
    code = "unknown_run"


class UnknownCron(Problem):
    code = "unknown_cron"


class RunEnded(Problem):
    """What was asked needs a run that has not ended."""

    code = "run_ended"


class RunNotEnded(Problem):
    """What was asked is not done to a run in progress."""

    code = "run_not_ended"


class NothingToAnswer(Problem):
    """No question waits: it was answered already, or never asked."""

    code = "nothing_to_answer"


class KeyReused(Problem):
    """An idempotency key came with another request than before."""

    code = "idempotency_key_reused"


class LimitReached(Problem):
    """Too many or too fast; the same request may work later."""

    code = "limit_reached"

    def __init__(self, message: str, *, limit: str, value: str, retry_after: int) -> None:
        super().__init__(message, retry_after=retry_after)
        self.limit = limit
        self.value = value


class QueueFull(LimitReached):
    code = "queue_full"


class InvalidInput(Problem):
    code = "invalid_input"


class HandedOver(Problem):
    """This process stops; the run goes on in another, which has its answer."""

    code = "handed_over"


class Forbidden(Problem):
    """The caller is known and lacks the scope."""

    code = "forbidden"


class LeaseLost(Problem):
    """This process could not renew its right to write to the thread in time."""

    code = "lease_lost"


class Unavailable(Problem):
    """The database is away, or the process is stopping: the same request may work soon."""

    code = "unavailable"
