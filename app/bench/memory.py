"""Whether many runs leave process and database as small as before: what a run adds, and what pruning gives back."""

from __future__ import annotations

import psycopg
import uvloop
from pydantic import SecretStr

from app.bench.load import load
from app.bench.measures import database_bytes, resident_mib
from app.bench.servers import Server
from app.bench.targets import OURS
from app.runtime.checkpoints import PooledSaver
from app.runtime.database import create_pool
from app.runtime.retention import Retention, Sweeper
from app.settings import Settings

CLIENTS = 16
NOTHING_KEPT = Retention(event_seconds=0.001, run_seconds=None, checkpoint_seconds=0.001)


def grow(server: Server, runs: int) -> dict[str, float]:
    """VACUUM makes room for others within the files; VACUUM FULL shows how much of them is in use."""
    first = runs // 10
    load(server, OURS, "wait", CLIENTS, runs=first)
    small, small_bytes = resident_mib(server), database_bytes(server)
    load(server, OURS, "wait", CLIENTS, runs=runs - first)
    large, large_bytes = resident_mib(server), database_bytes(server)
    found = {
        f"resident_mib_after_{first}_runs": small,
        f"resident_mib_after_{runs}_runs": large,
        "resident_ratio": large / small,
        "database_bytes_per_run": (large_bytes - small_bytes) / (runs - first),
        "database_mib": large_bytes / 2**20,
    }
    with psycopg.connect(server.url, autocommit=True) as connection:
        for what in ("prune", "deletion"):
            if what == "deletion":
                connection.execute("UPDATE threads SET ttl_seconds = 1, updated_at = updated_at - interval '1 hour'")
            uvloop.run(_sweep(server.url))
            found[f"database_mib_after_{what}"] = database_bytes(server) / 2**20
            for statement in (b"VACUUM", b"VACUUM FULL"):
                connection.execute(statement)
                found[f"database_mib_after_{what}_and_{statement.decode()}"] = database_bytes(server) / 2**20
    return found


async def _sweep(url: str) -> None:
    """As the service does it twice a minute."""
    async with create_pool(Settings(database_url=SecretStr(url))) as pool:
        sweeper = Sweeper(pool, PooledSaver(pool), NOTHING_KEPT)
        while await sweeper.sweep():
            pass
