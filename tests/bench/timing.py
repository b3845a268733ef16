"""How long something takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def median(runs: int, work: Callable[[], object]) -> float:
    """Seconds: the median after one run that is not counted, for it fills the caches; with no runs that one alone."""
    durations: list[float] = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        work()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations[1:] or durations)
