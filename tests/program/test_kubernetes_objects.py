"""Every Kubernetes object that the program registers is one that the pinned Kubernetes would take."""

from __future__ import annotations

import pytest

from stacks.kubernetes_schemas import problems
from tests.environments import graph_of


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_every_captured_object_is_valid_for_the_pinned_kubernetes(stack: str) -> None:
    objects = [row for row in graph_of(stack, preview=False) if row.package == "kubernetes" and row.kind != "Release"]
    assert len(objects) > 15
    assert {row.name: list(problems(dict(row.inputs))) for row in objects if list(problems(dict(row.inputs)))} == {}
