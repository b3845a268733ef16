"""How a long activity is shown: a live line on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

Report = Callable[[str, int, int | None], None]
"""What is being done, how much of it is done, and out of how much when that is known."""

PLAIN_SECONDS = 20.0  # a CI log should show life without filling up


def silent(text: str, done: int = 0, total: int | None = None) -> None:
    """A report that nobody watches."""


@contextmanager
def shown(console: Console) -> Generator[Report]:
    """Show what is reported inside the block; nothing of a live line stays behind."""
    if console.is_terminal:
        # On a narrow terminal the text is cut, not the clock.
        text_column = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
        columns = (SpinnerColumn(), TimeElapsedColumn(), BarColumn(20), text_column)
        with Progress(*columns, console=console, transient=True, expand=True) as progress:
            task = progress.add_task("", total=None)

            def live(text: str, done: int = 0, total: int | None = None) -> None:
                progress.update(task, description=text, completed=done, total=total)

            yield live
        return

    started = time.monotonic()
    last_text, last_time = "", 0.0

    def plain(text: str, done: int = 0, total: int | None = None) -> None:
        nonlocal last_text, last_time
        now = time.monotonic()
        phase = text.split(":", 1)[0]
        if phase == last_text and now - last_time < PLAIN_SECONDS:
            return
        last_text, last_time = phase, now
        console.print(f"  {text} ({now - started:.0f} s)", markup=False, soft_wrap=True)

    yield plain
