"""What may cross the border: identifiers and JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from app.api.values import MAX_DEPTH, Identifier, refuse_unstorable
from app.runtime import stream_parts

IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=20,
)


@given(st.text())
def test_an_identifier_is_accepted_exactly_when_it_is_short_and_plain(text: str) -> None:
    try:
        IDENTIFIER.validate_python(text)
        accepted = True
    except ValidationError:
        accepted = False
    plain = all(character.isascii() and (character.isalnum() or character in "_.-") for character in text)
    assert accepted == (plain and 1 <= len(text) <= 128)


@given(st.from_regex(re.compile(r"[A-Za-z0-9_.-]{1,128}"), fullmatch=True))
def test_every_plain_identifier_is_accepted(text: str) -> None:
    assert IDENTIFIER.validate_python(text) == text


@given(st.dictionaries(st.text(), JSON))
def test_what_is_accepted_can_be_stored_and_read_back(value: dict[str, Any]) -> None:
    try:
        refuse_unstorable(value)
    except ValueError:
        return
    serde = JsonPlusSerializer()
    assert serde.loads_typed(serde.dumps_typed(value)) == value
    assert b"\\u0000" not in to_json(value)


@pytest.mark.parametrize("bad", ["\x00", "a\x00", "\ud800", 2**64, -(2**63) - 1, float("nan"), float("inf")])
def test_what_the_database_cannot_keep_is_refused_wherever_it_hides(bad: object) -> None:
    for hidden in ({"a": bad}, {"a": [1, {"b": bad}]}, *([{bad: 1}] if isinstance(bad, str) else [])):
        with pytest.raises(ValueError, match="holds"):
            refuse_unstorable(hidden)


def test_nesting_has_a_limit_and_reaching_it_is_no_stack_overflow() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert refuse_unstorable({"a": value[0]})
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested"):
        refuse_unstorable({"a": value})


def test_any_state_becomes_json() -> None:
    strange = {
        "message": AIMessage("hi"),
        "set": {1},
        "object": object(),
        "nan": float("nan"),
        5: b"\xff",
        "big": 2**80,
    }
    shown = json.loads(stream_parts.to_json(strange))
    assert shown["message"]["content"] == "hi"
    assert (shown["nan"], shown["set"], shown["big"]) == (None, [1], 2**80)
