"""Gates in the database: a statement that comes to one waits there, so that its process can be killed at that very point."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from tests.service.waiting import eventually

SESSIONS = """
    SELECT count(*) FILTER (WHERE wait_event = 'advisory') AS waiting,
        count(pg_terminate_backend(pid)) FILTER (WHERE wait_event = 'advisory' AND %s) AS ended
    FROM pg_stat_activity WHERE datname = current_database()
"""


@dataclass(frozen=True)
class Gates:
    """Closed until `open`."""

    connection: psycopg.Connection[tuple[int, int]]

    def build(self, event: str, table: str, condition: str) -> None:
        """`event` is as in CREATE TRIGGER; the condition may use NEW."""
        name = f"gate_{abs(hash((event, table, condition)))}"
        trigger = f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW WHEN ({condition})"
        self.connection.execute(f"{trigger} EXECUTE FUNCTION wait_at_gate()".encode())

    async def until_waiting(self, count: int) -> None:
        await eventually(lambda: self._sessions(end=False) >= count)

    def end_those_who_wait(self) -> None:
        """As if they had never come: their transactions are gone."""
        self._sessions(end=True)

    def end_leases(self) -> None:
        """Those of processes that are all dead; else another would wait for them to end by themselves."""
        self.connection.execute("UPDATE runs SET lease_until = now() WHERE status = 'running'")

    def open(self) -> None:
        self.connection.execute("SELECT pg_advisory_unlock(7)")

    def _sessions(self, *, end: bool) -> int:
        row = self.connection.execute(SESSIONS, [end]).fetchone()
        assert row is not None
        return row[0]


@contextmanager
def closed_gates(database_url: str) -> Generator[Gates]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(7)")
        connection.execute("""
            CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    PERFORM pg_advisory_xact_lock_shared(7);
                    RETURN NEW;
                END
            $$
        """)
        yield Gates(connection)
