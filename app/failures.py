"""What a command says to people, and how it stops: the exit codes are the same numbers as the platform's commands'."""

from __future__ import annotations

import sys
from enum import IntEnum


class Exit(IntEnum):
    """Stable exit codes."""

    OK = 0
    FAILED = 1  # the work was tried and did not succeed
    BAD_INPUT = 2  # configuration or arguments: nothing was done
    MISSING = 3  # something this machine lacks: a free port, a package
    STATE = 4  # stored state that must not be touched: corrupt, or of a newer version


class Refused(Exception):
    """A stop with a message for people: what, which value, which rule, and the remedy."""

    def __init__(self, message: str, code: Exit = Exit.BAD_INPUT) -> None:
        super().__init__(message)
        self.code = code


def say(text: str) -> None:
    """On stderr: stdout carries the JSON log."""
    sys.stderr.write(text + "\n")
