"""For every test: hypothesis judges behaviour, never the clock of a busy machine; and the pulumi command."""

from pathlib import Path

import pytest
from hypothesis import settings

from tools.obtain import find

settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """The pulumi command as it is on this machine; tests without it are left out."""
    found = find("pulumi")
    if found is None:
        pytest.skip("no pulumi command: run make tools")
    return found.path
