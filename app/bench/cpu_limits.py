"""A limit on a server's CPU, as a pod's: so that a second process has cores to run on, whatever else uses the machine.

By control groups of version 1 or 2, where this user may make one (docs.kernel.org: scheduler/sched-bwc, cgroup-v2).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

PERIOD_MICROSECONDS = 100_000  # what Kubernetes uses
VERSION_1, VERSION_2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
GONE_SECONDS = 5.0  # a group can be removed a moment after its last process ended


def reason_without() -> str | None:
    """Why there are no limits here, or None."""
    try:
        with limited(1.0):
            return None
    except OSError as failure:
        return f"no control group for its CPU here ({failure.strerror})"


@contextmanager
def limited(cores: float) -> Generator[Path]:
    """A process whose id is written to the file, and its later children, have so many cores. Raises OSError."""
    name = f"agent-bench-{secrets.token_hex(4)}"
    quota = str(int(cores * PERIOD_MICROSECONDS))
    if VERSION_1.is_dir():
        group, limits = VERSION_1 / name, {"cpu.cfs_period_us": str(PERIOD_MICROSECONDS), "cpu.cfs_quota_us": quota}
    else:
        (VERSION_2 / "cgroup.subtree_control").write_text("+cpu")
        group, limits = VERSION_2 / name, {"cpu.max": f"{quota} {PERIOD_MICROSECONDS}"}
    group.mkdir()
    try:
        for file, value in limits.items():
            (group / file).write_text(value)
        yield group / "cgroup.procs"
    finally:
        end = time.monotonic() + GONE_SECONDS
        while group.exists() and time.monotonic() < end:
            with suppress(OSError):
                group.rmdir()
