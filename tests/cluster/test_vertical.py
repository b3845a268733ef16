"""The workers' VerticalPodAutoscaler beside their HPA, by the real recommender and admission controller."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from infra.kubernetes.labels import COMPONENT
from infra.quantities import mebibytes
from tests.cluster.api import Manifest, until
from tests.cluster.control_plane import ControlPlane, free_ports
from tests.cluster.manifests import IMAGE
from tests.cluster.metrics import Metrics, served
from tests.cluster.nodes import launch
from tests.cluster.program import applied, of_kind
from tests.environments import settings_of

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def metrics(server: ControlPlane) -> Iterator[Metrics]:
    """The metrics APIs, so that the recommender has something to watch."""
    with served(server) as measured:
        yield measured


def test_memory_requests_follow_use_while_cpu_limits_and_the_number_of_replicas_stay(
    server: ControlPlane, metrics: Metrics
) -> None:
    launch(server, settings_of("prod"), each=3)
    graph = applied(server, "prod", {"service.image": IMAGE})
    # Much CPU and half of the memory that the HPA wants more pods at: neither scales, but both could be "recommended".
    [scaling] = [row for row in of_kind(graph, "HorizontalPodAutoscaler") if is_worker(row)]
    metrics.containers = {"agent": {"cpu": "300m", "memory": "700Mi"}}
    metrics.pods = {row["pods"]["metric"]["name"]: "1" for row in scaling["spec"]["metrics"] if "pods" in row}
    metrics.external = {
        row["external"]["metric"]["name"]: "1" for row in scaling["spec"]["metrics"] if "external" in row
    }
    [vertical] = [row for row in of_kind(graph, "VerticalPodAutoscaler") if is_worker(row)]
    vertical["spec"]["updatePolicy"] = {"updateMode": "Initial"}  # as pods come anew; in place needs a kubelet
    server.api.apply(vertical)
    recommend_and_admit(server)

    recommended = until(lambda: recommendations(server, vertical), 60, "a recommendation")
    assert [set(row["target"]) for row in recommended] == [{"memory"}]
    bounds = vertical["spec"]["resourcePolicy"]["containerPolicies"][0]
    target = int(recommended[0]["target"]["memory"]) / 2**20
    assert mebibytes(bounds["minAllowed"]["memory"]) <= target <= mebibytes(bounds["maxAllowed"]["memory"])

    name, place = scaling["spec"]["scaleTargetRef"]["name"], scaling["metadata"]["namespace"]

    def workers() -> Manifest:
        return server.api.one("apps/v1", "Deployment", name, place)

    def new_pods() -> list[Manifest]:
        """The pods once all are of the newest template."""
        live = workers()
        selector = ",".join(f"{key}={value}" for key, value in live["spec"]["selector"]["matchLabels"].items())
        pods = server.api.all("v1", "Pod", place, labelSelector=selector)
        marked = [pod for pod in pods if pod["metadata"].get("annotations", {}).get("restarted")]
        return pods if len(marked) == len(pods) == live["spec"]["replicas"] else []

    asked = workers()["spec"]["template"]["spec"]["containers"][0]["resources"]
    replicas = scaling["spec"]["minReplicas"]
    until(lambda: workers()["spec"].get("replicas") == replicas, 30, "the minimum of replicas")
    server.api.merge(workers(), {"spec": {"template": {"metadata": {"annotations": {"restarted": "yes"}}}}})
    for pod in until(new_pods, 90, "new pods only"):
        given = pod["spec"]["containers"][0]["resources"]
        assert given["requests"]["memory"] == recommended[0]["target"]["memory"]
        assert given["requests"]["cpu"] == asked["requests"]["cpu"]
        assert given["limits"] == asked["limits"]
    deadline = time.monotonic() + 8  # eight looks of the HPA
    while time.monotonic() < deadline:
        assert workers()["spec"]["replicas"] == replicas
        time.sleep(0.5)


def is_worker(manifest: Manifest) -> bool:
    return manifest["metadata"].get("labels", {}).get(COMPONENT) == "worker"


def recommendations(server: ControlPlane, vertical: Manifest) -> list[dict[str, Any]]:
    status = (server.api.get(vertical) or {}).get("status", {})
    return status.get("recommendation", {}).get("containerRecommendations", [])


def recommend_and_admit(server: ControlPlane) -> None:
    """Start the two controllers and wait until new pods pass by the second."""
    recommender, admission, webhook = free_ports(3)
    common = (f"--kubeconfig={server.kubeconfig}", "--leader-elect=false")
    server.run(
        "vpa-recommender",
        *common,
        f"--address=127.0.0.1:{recommender}",
        "--recommender-interval=1s",
        "--pod-recommendation-min-memory-mb=32",
    )
    certificate, key = server.certificate
    server.run(
        "vpa-admission-controller",
        common[0],
        f"--address=127.0.0.1:{admission}",
        f"--port={webhook}",
        f"--client-ca-file={certificate}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key={key}",
        "--register-by-url",
        "--webhook-address=https://127.0.0.1",
        f"--webhook-port={webhook}",
    )
    version = "admissionregistration.k8s.io/v1"
    until(lambda: server.api.all(version, "MutatingWebhookConfiguration"), 60, "the webhook registered")
