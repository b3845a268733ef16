"""One folder of embedded clouds per worker."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.engine.running import fixture_cloud


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this worker's embedded clouds are; a path with a space, as a user's may have."""
    return tmp_path_factory.mktemp("embedded clouds")


@pytest.fixture(scope="session")
def standing_platform(clouds: Path, pulumi: Path) -> Path:
    """The fixture's platform, up; tests take copies."""
    fixture_cloud(clouds / "standing", pulumi).must_up()
    return clouds / "standing"


@pytest.fixture
def standing(standing_platform: Path, tmp_path: Path) -> Path:
    """A copy of its own of the platform that is up: opening it again writes the paths anew."""
    copy = tmp_path / "embedded clouds"
    shutil.copytree(standing_platform, copy)
    return copy
