"""The plan in process and the engine's events say the same of the same change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stacks.review.changes import Change
from stacks.review.events import preview_of
from stacks.review.plan import plan
from tests.engine.standing import Standing
from tests.environments import graph_of, settings_of

pytestmark = [pytest.mark.engine, pytest.mark.timeout(580)]

CHANGES: dict[str, dict[str, Any]] = {
    "dev": {  # an update of nearly everything, and replacements that reach what refers to them
        "access.deployers": ["arn:aws:iam::123456789012:role/other"],
        "tags.costCenter": "agents",
        "database.instanceClass": "db.t4g.large",
        "network.interfaceEndpoints": ["ecr.api"],
        "network.zones.0.data": "10.20.12.0/24",
        "network.zones.0.private": "10.20.128.0/19",
        "nodes.system.instanceTypes": ["m6i.large"],
    },
    "prod": {
        "access.viewers": ["arn:aws:iam::123456789012:role/other"],
        "network.interfaceEndpoints": ["ecr.api"],
        "nodes.system.instanceTypes": ["m6i.large"],
        "service.workers.maxReplicas": 200,
    },
}


@pytest.mark.parametrize("stack", CHANGES)
def test_both_sources_agree_on_a_change_and_on_none(
    request: pytest.FixtureRequest, pulumi: Path, tmp_path: Path, stack: str
) -> None:
    standing: Standing = request.getfixturevalue(stack)
    changed = standing.copy(tmp_path / stack, pulumi, CHANGES[stack]).must_preview()
    for changes, preview, expected in (
        ({}, standing.again, set[str]()),
        (CHANGES[stack], changed, {"create", "update", "replace", "delete"}),
    ):
        by_engine = preview_of(preview.events, "preview").changes
        _, in_process = plan(graph_of(stack, preview=False), settings_of(stack, changes), stack)
        assert told(in_process) == told(by_engine)
        assert {change.operation for change in by_engine} - {"same"} == expected


def told(changes: list[Change]) -> dict[str, tuple[Any, ...]]:
    """What both must agree on: operation, properties with what forces a replacement, component and guards."""
    return {
        change.urn: (
            change.operation,
            sorted((row.path, row.replaces) for row in change.properties),
            change.component,
            change.protected,
            change.retained,
        )
        for change in changes
        if change.operation != "same"
    }
