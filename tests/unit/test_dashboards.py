"""The dashboards' documents: what Grafana needs of them to load and to be readable."""

from __future__ import annotations

import re

import pytest

from infra.kubernetes.dashboards import Dashboard, dashboards, document

BOARDS = dashboards()
# Identifiers of Grafana's units (packages/grafana-data/src/valueFormats/categories.ts).
UNITS = {"short", "percentunit", "s", "bytes", "ops", "reqps", "x"}


def test_the_boards_have_names_of_their_own() -> None:
    assert len({board.uid for board in BOARDS}) == len({board.title for board in BOARDS}) == 4
    assert all(re.fullmatch(r"[a-z-]{1,40}", board.uid) for board in BOARDS)  # Grafana's longest uid


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_lie_on_the_grid_and_do_not_overlap(board: Dashboard) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in document(board)["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not taken & cells
        taken |= cells


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_panel_has_a_title_a_unit_a_source_and_a_legend_its_query_can_fill(board: Dashboard) -> None:
    made = document(board)
    assert len({panel["id"] for panel in made["panels"]}) == len({panel["title"] for panel in made["panels"]})
    for panel in made["panels"]:
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        references = [target["refId"] for target in panel["targets"]]
        assert references == sorted(set(references))
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "prometheus"}
            kept = {
                label.strip() for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in group.split(",")
            }
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept
