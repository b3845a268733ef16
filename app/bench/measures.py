"""What is read before and after a stretch of load: CPU, memory, the database's rows and bytes; and the machine's speed."""

from __future__ import annotations

import time
from typing import Any, cast

import psutil
import psycopg
from psycopg.sql import SQL, Identifier

from app.bench.servers import Server


def totals(server: Server, postgres: psutil.Process) -> dict[str, float]:
    """Two of them tell what happened between."""
    rows = {"checkpoint_rows": 0.0, "event_rows": 0.0, "other_rows": 0.0}
    with psycopg.connect(server.url, autocommit=True) as connection:
        for (name,) in connection.execute("SELECT relname FROM pg_stat_user_tables").fetchall():
            kind = "checkpoint" if name.startswith("checkpoint") else "event" if "event" in name else "other"
            rows[f"{kind}_rows"] += _number(connection, SQL("SELECT count(*) FROM {}").format(Identifier(name)))
    return {
        "server_cpu_ms": cpu_ms(server.tree()),
        "postgres_cpu_ms": cpu_ms([postgres, *postgres.children(recursive=True)]),
        **rows,
        "database_bytes": database_bytes(server),
    }


def cpu_ms(processes: list[psutil.Process]) -> float:
    """What ended processes used is counted in their parents."""
    return 1000 * sum(sum(process.cpu_times()[:4]) for process in processes if process.is_running())


def resident_mib(server: Server) -> float:
    return sum(process.memory_info().rss for process in server.tree()) / 2**20


def cores_used() -> tuple[float, float]:
    """CPU seconds of the whole machine up to now: busy, and all there were."""
    times = psutil.cpu_times()
    everything = sum(times) - getattr(times, "guest", 0) - getattr(times, "guest_nice", 0)  # Linux has them in user
    return everything - times.idle - getattr(times, "iowait", 0), everything


def database_bytes(server: Server) -> int:
    with psycopg.connect(server.url, autocommit=True) as connection:
        return _number(connection, SQL("SELECT pg_database_size(current_database())"))


def fixed_loop_ms() -> float:
    """How fast the machine is just now."""
    durations: list[float] = []
    for _ in range(5):
        started = time.perf_counter()
        sum(number * number for number in range(50_000))
        durations.append(time.perf_counter() - started)
    return 1000 * min(durations)


def _number(connection: psycopg.Connection[Any], query: Any) -> int:
    return cast("tuple[int]", connection.execute(query).fetchone())[0]
