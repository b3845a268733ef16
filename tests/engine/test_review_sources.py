"""The plan in process and the engine's events say the same of the same change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from stacks.embedded.engine import open_workspace
from stacks.review.changes import Change
from stacks.review.events import preview_of
from stacks.review.plan import plan
from tests.engine.running import Running
from tests.environments import config_of, graph_of, settings_of

pytestmark = [pytest.mark.engine, pytest.mark.timeout(580)]

CHANGES: dict[str, list[dict[str, Any]]] = {
    "dev": [
        {},
        {  # an update of nearly everything, and replacements that reach what refers to them
            "access.deployers": ["arn:aws:iam::123456789012:role/other"],
            "tags.costCenter": "agents",
            "database.instanceClass": "db.t4g.large",
            "network.interfaceEndpoints": ["ecr.api"],
            "network.zones.0.data": "10.20.12.0/24",
            "network.zones.0.private": "10.20.128.0/19",
            "nodes.system.instanceTypes": ["m6i.large"],
        },
    ],
    "prod": [
        {},
        {
            "access.viewers": ["arn:aws:iam::123456789012:role/other"],
            "network.interfaceEndpoints": ["ecr.api"],
            "nodes.system.instanceTypes": ["m6i.large"],
            "service.workers.maxReplicas": 200,
        },
    ],
}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, pulumi: Path) -> dict[str, Path]:
    """Both environments, up."""
    roots = {stack: tmp_path_factory.mktemp(stack) for stack in CHANGES}
    for stack, root in roots.items():
        Running(open_workspace(stack, pulumi, root, config=config_of(stack), checkpoints=False)).must_up()
    return roots


@pytest.mark.parametrize(
    ("stack", "changes"),
    [pytest.param(stack, change, id=f"{stack}: {', '.join(change) or 'nothing'}") for stack, rows in CHANGES.items() for change in rows],
)  # fmt: skip
def test_both_sources_agree(
    standing: dict[str, Path], pulumi: Path, tmp_path: Path, stack: str, changes: dict[str, Any]
) -> None:
    shutil.copytree(standing[stack], tmp_path / stack)
    cloud = Running(open_workspace(stack, pulumi, tmp_path / stack, config=config_of(stack, changes)))
    by_engine = preview_of(cloud.must_preview().events, "preview").changes
    _, in_process = plan(graph_of(stack, preview=False), settings_of(stack, changes), stack)
    assert told(in_process) == told(by_engine)
    operations = {change.operation for change in by_engine} - {"same"}
    assert operations == ({"create", "update", "replace", "delete"} if changes else set[str]())


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
