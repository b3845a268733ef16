"""What every command shares at its edges: the console, the exit codes, and how a refusal is shown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from enum import IntEnum

from rich.console import Console
from rich.markup import escape

# Without emoji: an ARN that holds :secret: is no picture.
console = Console(highlight=False, emoji=False)
errors = Console(stderr=True, highlight=False, emoji=False)


class Exit(IntEnum):
    """Stable exit codes of all commands; docs/operations/commands.md lists them for users."""

    OK = 0
    FAILED = 1  # the work was tried and did not succeed
    BAD_INPUT = 2  # configuration or arguments: nothing was done
    MISSING = 3  # something this machine lacks: a tool, a free port
    STATE = 4  # stored state that must not be touched: corrupt, or of a newer version


class Refused(Exception):
    """A stop with a message for people: what, which value, which rule, and the remedy."""

    def __init__(self, message: str, code: Exit = Exit.BAD_INPUT) -> None:
        super().__init__(message)
        self.code = code


def subcommand(add_parser: Callable[..., argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    """One part of a command, on a stack; the text is in its own help and in the list of all parts."""
    parser = add_parser(name, help=text, description=text)
    parser.add_argument("--stack", default="dev", help="which Pulumi.<stack>.yaml (default: dev)")
    return parser


def run_command(command: Callable[[list[str]], int | None], arguments: list[str] | None = None) -> int:
    """Run a command's main function; turns a refusal into its message on stderr and its exit code."""
    try:
        return int(command(sys.argv[1:] if arguments is None else arguments) or Exit.OK)
    except Refused as refusal:
        errors.print("[bold red]refused:[/]", escape(str(refusal)), soft_wrap=True)
        return int(refusal.code)
    except KeyboardInterrupt:
        errors.print("stopped")
        return 130
