"""prod's Kubernetes half on a real API server, from nothing to nothing; dev's is in test_first_run.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.manifests import IMAGE, NEWER
from tests.cluster.nodes import launch
from tests.cluster.running import environment, gone, still, there
from tests.environments import settings_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(580)]


def test_every_object_is_admitted_stands_still_follows_its_image_and_goes(
    tmp_path: Path, pulumi: Path, server: ControlPlane
) -> None:
    launch(server, settings_of("prod"))
    changes = {"teardown": True, "service.image": IMAGE}
    cloud = environment(tmp_path, pulumi, server, "prod", changes)
    cloud.must_up()
    admitted = there(cloud, server)
    still(cloud)

    cloud = environment(tmp_path, pulumi, server, "prod", {**changes, "service.image": NEWER})
    changed = {("Deployment", "update"), ("Rollout", "update"), ("Job", "replace")}
    assert set(cloud.must_up().kinds()) == changed
    assert cloud.planned() == {}

    gone(cloud, server, admitted)
