"""What stands on the embedded cloud, made once a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.engine.running import fixture_cloud
from tests.engine.standing import Standing, brought_up
from tests.once import once_a_run


@pytest.fixture(scope="session")
def standing_platform(tmp_path_factory: pytest.TempPathFactory, pulumi: Path) -> Path:
    """The fixture's platform, up; tests take copies."""
    return once_a_run(tmp_path_factory, "standing platform", lambda root: fixture_cloud(root, pulumi).must_up())


@pytest.fixture
def standing(standing_platform: Path, tmp_path: Path) -> Path:
    """A copy of its own of the platform that is up: opening it again writes the paths anew."""
    copy = tmp_path / "embedded clouds"
    shutil.copytree(standing_platform, copy)
    return copy


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory, pulumi: Path) -> Standing:
    """dev, up."""
    return brought_up(tmp_path_factory, "dev", pulumi)


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory, pulumi: Path) -> Standing:
    """prod, up."""
    return brought_up(tmp_path_factory, "prod", pulumi)
