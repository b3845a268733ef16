"""A path into a state leads to the value that stands there, and nowhere else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from app.api.selection import PATH, Extract, extracted, page_headers, selected

KEYS = st.text(st.characters(exclude_characters=".[]", exclude_categories=["Cs"]), min_size=1, max_size=8)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


class Paths(BaseModel):
    paths: Extract


@st.composite
def placed(draw: st.DrawFn) -> tuple[str, object, object]:
    """A path, the state it leads into, and what stands at its end."""
    end: object = draw(LEAVES)
    state, path = end, ""
    for step in draw(st.lists(KEYS | st.integers(0, 3), min_size=1, max_size=5)):
        if isinstance(step, str):
            state, path = {"other": 1, step: state}, f".{step}{path}"
        else:
            state, path = [*range(step), state], f"[{draw(st.sampled_from([step, -1]))}]{path}"
    return f"values{path}", state, end


@given(placed())
def test_a_path_leads_to_what_stands_at_its_end(found: tuple[str, object, object]) -> None:
    path, state, end = found
    assert extracted({"values": state}, {"it": path}) == {"it": end}
    assert Paths(paths={"it": path}).paths == {"it": path}


@given(st.text(max_size=30), LEAVES | st.lists(LEAVES) | st.dictionaries(KEYS, LEAVES))
def test_any_other_text_leads_nowhere_and_breaks_nothing(text: str, state: object) -> None:
    if PATH.fullmatch(text):
        extracted({"values": state}, {"it": text})
    assert extracted({"values": state}, {"it": "values.a[0].b[-9].c"})["it"] is None


def test_selected_keys_of_the_values_come_without_the_others() -> None:
    row: dict[str, Any] = {"values": {"a": 1, "b": 2}, "next": [], "metadata": {}}
    assert selected(row, None) == row
    assert selected(row, ["next", "values.a", "values.none"]) == {"next": [], "values": {"a": 1}}
    assert selected(row, ["values", "values.a"]) == {"values": {"a": 1, "b": 2}}
    assert selected({"values": None}, ["values.a"]) == {}


def test_a_page_tells_of_the_next_one_only_when_there_is_one() -> None:
    assert page_headers(3, 2, 4) == {"x-pagination-total": "7", "x-pagination-next": "6"}
    assert page_headers(2, 2, 4) == {"x-pagination-total": "6"}
