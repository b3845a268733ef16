"""The SQL of checkpoints: what any number of callers store or load in one statement, and what works on whole threads.

The rows are those of LangGraph's own saver, byte for byte; only `written_by` is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast
from uuid import UUID

import orjson
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Json

from app.tables.planning import RUNNING, few

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class Lease:
    """A run's claim. Whoever has an older one may not write."""

    run_id: UUID
    fence: int


class Value(NamedTuple):
    """A channel's value: `slot` is its version in a blob, its index in a write."""

    slot: str
    channel: str
    type: str
    data: bytes


class Entry(NamedTuple):
    """What one call stores: a checkpoint with its blobs, or a task's writes, which have no `checkpoint`."""

    lease: Lease | None
    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str
    values: Sequence[Value]
    parent_id: str | None = None
    checkpoint: bytes | None = None  # JSON
    metadata: bytes | None = None  # JSON
    task_id: str | None = None
    task_path: str | None = None
    replaces: bool = False  # what the task wrote before at the same index

    @property
    def size(self) -> int:
        return len(self.checkpoint or b"") + sum(len(value.data) for value in self.values)


class Address(NamedTuple):
    """A thread, or a subgraph's part of it, whose newest checkpoint is asked for."""

    thread_id: str
    checkpoint_ns: str


_ENTRIES = """
    json_to_recordset(%(entries)s) AS entry (
        number int, run_id uuid, fence bigint, thread_id text, checkpoint_ns text, checkpoint_id text,
        parent_id text, checkpoint jsonb, metadata jsonb, task_id text, task_path text, replaces boolean)
"""
# The run's row stays locked for as long as the statement lasts. Whoever takes a run away or ends it locks it FOR UPDATE,
# and so comes before or after, not between the check and the rows; a renewal changes no key and waits for nobody.
SAVE = f"""
    WITH entry AS MATERIALIZED {few(_ENTRIES)}, held AS MATERIALIZED (
        SELECT entry.number FROM entry JOIN runs ON runs.run_id = entry.run_id AND runs.fence = entry.fence
        WHERE runs.{RUNNING}
        FOR KEY SHARE OF runs
    ), allowed AS MATERIALIZED (
        SELECT * FROM entry WHERE run_id IS NULL OR number IN (SELECT number FROM held)
    ), value AS MATERIALIZED (
        SELECT * FROM ROWS FROM (
            json_to_recordset(%(values)s) AS (number int, slot text, channel text, type text),
            unnest(%(data)b::bytea[])
        ) AS value (number, slot, channel, type, blob) JOIN allowed USING (number)
    ), put_checkpoints AS (
        INSERT INTO checkpoints (
            thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
        SELECT thread_id, checkpoint_ns, checkpoint_id, parent_id, checkpoint, metadata
        FROM allowed WHERE checkpoint IS NOT NULL
        ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET
            checkpoint = EXCLUDED.checkpoint, metadata = EXCLUDED.metadata
    ), put_blobs AS (
        INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
        SELECT thread_id, checkpoint_ns, channel, slot, type, blob FROM value WHERE checkpoint IS NOT NULL
        ON CONFLICT DO NOTHING
    ), put_writes AS (
        INSERT INTO checkpoint_writes (
            thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob, written_by)
        SELECT thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, slot::int, channel, type, blob, run_id
        FROM value WHERE checkpoint IS NULL AND NOT replaces
        ON CONFLICT DO NOTHING
    ), replace_writes AS (
        INSERT INTO checkpoint_writes (
            thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob, written_by)
        SELECT thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, slot::int, channel, type, blob, run_id
        FROM value WHERE checkpoint IS NULL AND replaces
        ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO UPDATE SET
            channel = EXCLUDED.channel, type = EXCLUDED.type, blob = EXCLUDED.blob, written_by = EXCLUDED.written_by
    )
    SELECT coalesce(array_agg(number), '{{}}') AS numbers FROM allowed
"""  # noqa: S608  constants

LOAD = f"""
    SELECT address.number, found.*
    FROM json_to_recordset(%s) AS address (number int, thread_id text, checkpoint_ns text)
    CROSS JOIN LATERAL (
        {AsyncPostgresSaver.SELECT_SQL}
        WHERE thread_id = address.thread_id AND checkpoint_ns = address.checkpoint_ns
        ORDER BY checkpoint_id DESC LIMIT 1
    ) AS found
"""  # noqa: S608  constants

HOLD_RUN = f"SELECT FROM runs WHERE run_id = %s AND fence = %s AND {RUNNING} FOR KEY SHARE"

# A blob goes when no checkpoint that stays refers to it.
_FORGET = """
    WITH forgotten AS (
        DELETE FROM checkpoints
        WHERE {these} AND metadata ->> 'run_id' = ANY(%(runs)s)
        RETURNING thread_id, checkpoint_ns, checkpoint_id, checkpoint -> 'channel_versions' AS versions
    ), put_by_them AS (
        DELETE FROM checkpoint_writes
        WHERE {these} AND written_by::text = ANY(%(runs)s)
    ), put_on_theirs AS (
        DELETE FROM checkpoint_writes AS put USING forgotten
        WHERE put.thread_id = forgotten.thread_id AND put.checkpoint_ns = forgotten.checkpoint_ns
            AND put.checkpoint_id = forgotten.checkpoint_id
    )
    DELETE FROM checkpoint_blobs AS blob USING forgotten
    WHERE blob.thread_id = forgotten.thread_id AND blob.checkpoint_ns = forgotten.checkpoint_ns
        AND forgotten.versions ->> blob.channel = blob.version
        AND NOT EXISTS (
            SELECT FROM checkpoints AS kept
            WHERE kept.thread_id = blob.thread_id AND kept.checkpoint_ns = blob.checkpoint_ns
                AND kept.checkpoint -> 'channel_versions' ->> blob.channel = blob.version
                AND coalesce(kept.metadata ->> 'run_id' <> ALL(%(runs)s), true)
        )
"""
FORGET_RUN = _FORGET.format(these="thread_id = %(thread)s")
FORGET_RUNS = _FORGET.format(these="true")  # reads every checkpoint: no index has the run

WRITTEN_BY = """
    SELECT DISTINCT channel FROM checkpoint_writes
    WHERE thread_id = %s AND checkpoint_ns = '' AND checkpoint_id = %s AND written_by = %s
"""

DELETE_THREADS = """
    WITH deleted_checkpoints AS (DELETE FROM checkpoints WHERE thread_id = ANY(%(threads)s)),
        deleted_blobs AS (DELETE FROM checkpoint_blobs WHERE thread_id = ANY(%(threads)s))
    DELETE FROM checkpoint_writes WHERE thread_id = ANY(%(threads)s)
"""

COPY_THREAD = """
    WITH copied_checkpoints AS (
        INSERT INTO checkpoints (
            thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
        SELECT %(target)s, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata
        FROM checkpoints WHERE thread_id = %(source)s
    ), copied_blobs AS (
        INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
        SELECT %(target)s, checkpoint_ns, channel, version, type, blob
        FROM checkpoint_blobs WHERE thread_id = %(source)s
    )
    INSERT INTO checkpoint_writes (
        thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT %(target)s, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob
    FROM checkpoint_writes WHERE thread_id = %(source)s
"""


async def save(connection: Connection, entries: Sequence[Entry]) -> list[bool]:
    """Stores all of them at once; false for those whose lease is not the run's newest, of which nothing is stored."""
    numbered = list(enumerate(entries))
    given = [(number, value) for number, entry in numbered for value in entry.values]
    parameters = {
        "count": len(entries),
        # As JSON, and not as an array for each column: half the CPU here, for 10 % more of the database's.
        "entries": _json([_entry_row(number, entry) for number, entry in numbered]),
        "values": _json(
            [
                {"number": number, "slot": value.slot, "channel": value.channel, "type": value.type}
                for number, value in given
            ]
        ),
        "data": [value.data for _, value in given],
    }
    cursor = await connection.execute(SAVE, parameters, binary=True)
    allowed = set(cast("DictRow", await cursor.fetchone())["numbers"])
    return [number in allowed for number, _ in numbered]


def _entry_row(number: int, entry: Entry) -> dict[str, object]:
    return {
        "number": number,
        "run_id": entry.lease and entry.lease.run_id,
        "fence": entry.lease and entry.lease.fence,
        "thread_id": entry.thread_id,
        "checkpoint_ns": entry.checkpoint_ns,
        "checkpoint_id": entry.checkpoint_id,
        "parent_id": entry.parent_id,
        "checkpoint": entry.checkpoint and orjson.Fragment(entry.checkpoint),
        "metadata": entry.metadata and orjson.Fragment(entry.metadata),
        "task_id": entry.task_id,
        "task_path": entry.task_path,
        "replaces": entry.replaces,
    }


async def load(connection: Connection, addresses: Sequence[Address]) -> list[DictRow | None]:
    """The row of each one's newest checkpoint, as the stock saver selects it."""
    numbered = list(enumerate(addresses))
    wanted = _json([{"number": number, **address._asdict()} for number, address in numbered])
    cursor = await connection.execute(LOAD, (wanted,), binary=True)
    found = {row["number"]: row for row in await cursor.fetchall()}
    return [found.get(number) for number, _ in numbered]


def _json(rows: Sequence[object]) -> Json:
    return Json(rows, dumps=orjson.dumps)


async def written_by(connection: Connection, thread_id: str, checkpoint_id: str, run_id: UUID) -> set[str]:
    cursor = await connection.execute(WRITTEN_BY, (thread_id, checkpoint_id, run_id))
    return {row["channel"] for row in await cursor.fetchall()}


async def hold_run(connection: Connection, lease: Lease) -> bool:
    """Nobody takes the run away in this transaction, as in SAVE; false when it was taken already."""
    return await (await connection.execute(HOLD_RUN, (lease.run_id, lease.fence))).fetchone() is not None


async def forget_run(connection: Connection, thread_id: str, run_id: str) -> None:
    await connection.execute(FORGET_RUN, {"thread": thread_id, "runs": [run_id]})


async def forget_runs(connection: Connection, run_ids: Sequence[str]) -> None:
    await connection.execute(FORGET_RUNS, {"runs": list(run_ids)})


async def delete_threads(connection: Connection, thread_ids: Sequence[str]) -> None:
    await connection.execute(DELETE_THREADS, {"threads": list(thread_ids)})


async def copy_thread(connection: Connection, source: str, target: str) -> None:
    await connection.execute(COPY_THREAD, {"source": source, "target": target})
