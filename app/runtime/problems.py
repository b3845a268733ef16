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


class UnknownCheckpoint(Problem):
    code = "unknown_checkpoint"


class UnknownGraph(Problem):
    code = "unknown_graph"


class WrongGraph(Problem):
    """The thread's state was written by another graph."""

    code = "wrong_graph"


class ThreadBusy(Problem):
    code = "thread_busy"


class InvalidInput(Problem):
    code = "invalid_input"


class RunFailed(Problem):
    code = "run_failed"


class RunTimedOut(Problem):
    code = "run_timeout"


class LeaseLost(Problem):
    """This process could not renew its right to write to the thread in time."""

    code = "lease_lost"


class Unavailable(Problem):
    """The database is away, or the process is stopping: the same request may work soon."""

    code = "unavailable"
