"""Whatever is changed in a chain of audit rows is found, and where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.security.audit_chain import Broken, Entry, Head, Row, appended, beginning, verify, verify_heads

START = datetime(2026, 1, 1, tzinfo=UTC)
ENTRY = Entry(START, "acme", UUID(int=7), None, "read", "get_thread", "t", "r", 200)

OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "at": st.datetimes(timezones=st.just(UTC)),
    "tenant": st.text(),
    "subject": st.none() | st.uuids(),
    "key_id": st.text(min_size=1),
    "action": st.sampled_from(["run", "delete", "anchor"]),
    "operation": st.text(),
    "object": st.none() | st.text(),
    "request_id": st.none() | st.text(),
    "status": st.integers(min_value=100, max_value=599),
}


def chain(name: str, length: int, first: Entry | None = None) -> list[Row]:
    rows, head = list[Row](), beginning(name)
    for number in range(length):
        entry = first if first and not number else replace(ENTRY, at=START + timedelta(seconds=number))
        rows.append(appended(head, entry))
        head = rows[-1].head
    return rows


def two_chains(length: int) -> list[Row]:
    """The second was begun when the first had half of its rows, and says so."""
    first = chain("a", length)
    seen = first[length // 2].head
    return first + chain("b", length, replace(ENTRY, action="anchor", object=str(seen)))


def check(rows: Sequence[Row], heads: Sequence[Head] = ()) -> None:
    found = verify(rows)
    there = {(row.head.chain, row.head.number): row.head.hash for row in rows}
    seen = {**found.claimed, **dict.fromkeys(heads, "the log")}
    verify_heads(seen.items(), lambda name, number: there.get((name, number)))


@given(st.integers(min_value=1, max_value=8))
def test_what_was_written_is_whole(length: int) -> None:
    check(two_chains(length))


@given(st.data(), st.integers(min_value=1, max_value=8))
def test_a_change_of_any_value_of_any_row_is_found_at_that_row(data: st.DataObject, length: int) -> None:
    rows = two_chains(length)
    place = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(sorted(OTHERS)))
    entry = rows[place].entry
    value = data.draw(OTHERS[name].filter(lambda other: other != getattr(entry, name)))
    rows[place] = replace(rows[place], entry=replace(entry, **{name: value}))

    with pytest.raises(Broken, match=f"chain {rows[place].head.chain}, row {rows[place].head.number}:"):
        check(rows)


@given(st.data(), st.integers(min_value=2, max_value=8))
def test_a_row_that_is_removed_put_in_or_put_elsewhere_is_found(data: st.DataObject, length: int) -> None:
    rows = two_chains(length)
    one, other = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=2, max_size=2, unique=True))

    def removed() -> list[Row]:
        return [row for number, row in enumerate(rows) if number != one]

    def repeated() -> list[Row]:
        return [*rows[:one], rows[one], *rows[one:]]

    def exchanged() -> list[Row]:
        entries = {one: rows[other].entry, other: rows[one].entry}
        return [replace(row, entry=entries.get(number, row.entry)) for number, row in enumerate(rows)]

    change: Callable[[], list[Row]] = data.draw(st.sampled_from([removed, repeated, exchanged]))
    heads = [rows[length - 1].head, rows[-1].head]
    if change is exchanged and rows[one].entry == rows[other].entry:
        return
    with pytest.raises(Broken):
        check(change(), heads)


@given(st.data(), st.integers(min_value=2, max_value=8))
def test_a_chain_cut_short_is_found_by_a_head_that_was_seen(data: st.DataObject, length: int) -> None:
    rows = chain("a", length)
    kept = data.draw(st.integers(0, length - 1))

    with pytest.raises(Broken, match=rf"chain a, row {length}: is missing; the log"):
        check(rows[:kept], [rows[-1].head])


def test_a_chain_written_anew_is_found_by_the_chain_that_was_begun_after_it() -> None:
    rows = two_chains(4)
    anew = chain("a", 4, replace(ENTRY, object="another"))

    with pytest.raises(Broken, match="chain a, row 3: was written anew; chain b, row 1"):
        check([*anew, *rows[4:]])
    with pytest.raises(Broken, match="chain a, row 3: is missing"):
        check(rows[4:])
