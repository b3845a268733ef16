"""What processes tell each other through signals. A topic says where to look, never what is there."""

from __future__ import annotations

from uuid import UUID

WORK = "work"
"""A run can be claimed."""

ATTENTION = "attention"
"""A cancellation was asked for, or a process follows a run that it does not execute."""


def changed(run_id: UUID) -> str:
    """The run has new events, has ended, or was given back."""
    return f"run:{run_id}"


THREADS = "threads"
"""A process follows threads, and wants to be told of the runs that others accept."""


def thread_changed(thread_id: str) -> str:
    """A run was accepted on the thread, or its state changed by hand."""
    return f"thread:{thread_id}"
