"""dev from nothing to nothing on a real API server, as the README's first run goes on: platform, image, a bad one, a better."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.settings import Settings
from stacks.embedded.engine import stack_outputs
from tests.cluster.api import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.cluster.manifests import FAILING, IMAGE, NEWER
from tests.cluster.nodes import launch
from tests.cluster.running import environment, gone, still, there
from tests.environments import settings_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(580)]


def test_first_the_platform_then_jobs_and_rollout_and_a_failed_migration_leaves_the_old_version_serving(
    tmp_path: Path, pulumi: Path, server: ControlPlane
) -> None:
    settings = settings_of("dev")
    launch(server, settings)

    # No image: everything else, and what to do next.
    cloud = environment(tmp_path, pulumi, server, "dev", {"teardown": True})
    cloud.must_up()
    assert workloads(server, settings) == []
    assert server.api.all("networking.k8s.io/v1", "NetworkPolicy", settings.service.namespace)
    assert "make image" in stack_outputs(cloud.workspace)["next"]

    # An image: the Jobs end well before any pod of the service starts.
    cloud = environment(tmp_path, pulumi, server, "dev", {"teardown": True, "service.image": IMAGE})
    cloud.must_up()
    jobs = server.api.all("batch/v1", "Job", settings.service.namespace)
    assert len(jobs) == 2
    ended = max(job["status"]["completionTime"] for job in jobs)
    assert all(row["metadata"]["creationTimestamp"] >= ended for row in workloads(server, settings))
    admitted = there(cloud, server)
    still(cloud)

    # One whose migration fails: the user reads which Job and how it ended; nobody's pod was touched.
    cloud = environment(tmp_path, pulumi, server, "dev", {"teardown": True, "service.image": FAILING})
    failed = cloud.up()
    assert failed.code != 0
    assert "did not become ready" in failed.text
    assert "exit code 1: it is a bad image" in failed.text
    assert images(server, settings) == {IMAGE}

    # A better one mends it.
    cloud = environment(tmp_path, pulumi, server, "dev", {"teardown": True, "service.image": NEWER})
    assert set(cloud.must_up().kinds()) == {("Deployment", "update"), ("Job", "replace")}
    assert images(server, settings) == {NEWER}
    assert cloud.planned() == {}

    gone(cloud, server, admitted)


def workloads(server: ControlPlane, settings: Settings) -> list[Manifest]:
    """The service's Deployments."""
    return server.api.all("apps/v1", "Deployment", settings.service.namespace)


def images(server: ControlPlane, settings: Settings) -> set[str]:
    """The images of the pods that serve."""
    pods = server.api.all("v1", "Pod", settings.service.namespace, labelSelector="app.kubernetes.io/name=agent")
    serving = [pod for pod in pods if pod["status"].get("phase") == "Running"]
    return {container["image"] for pod in serving for container in pod["spec"]["containers"]}
