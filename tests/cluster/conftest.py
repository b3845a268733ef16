"""A control plane for each file of tests: ready in seconds, so that none sees what another left."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.custom_resources import definitions, prepare
from tools.catalogue import CONTROL_PLANE, Unavailable
from tools.obtain import find

# The controllers' own minutes, in seconds; the policies under test are those of the objects.
QUICK_SCALING = (
    "--horizontal-pod-autoscaler-sync-period=1s",
    "--horizontal-pod-autoscaler-initial-readiness-delay=0s",
    "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
)


@pytest.fixture(scope="session")
def binaries() -> dict[str, Path]:
    """The control plane's programs; tests without them are left out."""
    found = {tool.name: find(tool.name) for tool in CONTROL_PLANE}
    missing = [name for name, tool in found.items() if tool is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: run make tools")
    return {name: tool.path for name, tool in found.items() if tool}


@pytest.fixture(scope="module")
def server(binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The file's control plane."""
    with _running(tmp_path_factory.mktemp("kubernetes"), binaries) as running:
        yield running


@contextmanager
def _running(folder: Path, binaries: dict[str, Path]) -> Generator[ControlPlane]:
    """With what EKS's own add-ons bring, and nothing of ours."""
    plane = ControlPlane(folder, binaries, QUICK_SCALING)
    try:
        plane.definitions.mkdir()
        prepare(plane.definitions)
    except Unavailable as reason:
        pytest.skip(str(reason))
    with plane as running:
        for definition in definitions(running.definitions, "secrets-store"):
            running.api.apply(definition)
        yield running
