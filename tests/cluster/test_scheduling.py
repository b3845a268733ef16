"""Where the real scheduler puts the API's pods, and what it takes to drain Spot: nodes are played, decisions are not."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import pytest

from infra.kubernetes.labels import COMPONENT
from tests.cluster.api import ApiError, Manifest, until
from tests.cluster.control_plane import ControlPlane
from tests.cluster.manifests import IMAGE
from tests.cluster.nodes import CAPACITY_TYPE, ZONE, launch
from tests.cluster.program import applied, of_kind
from tests.cluster.readiness import is_ready
from tests.environments import settings_of

pytestmark = pytest.mark.cluster
REPLICAS = 12  # of each kind of node in each zone, one


@dataclass(frozen=True)
class Placed:
    """prod's API on nodes of every kind."""

    server: ControlPlane
    workload: Manifest
    budget: Manifest

    def pods(self) -> list[Manifest]:
        labels = self.workload["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found = self.server.api.all("v1", "Pod", self.workload["metadata"]["namespace"], labelSelector=selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready(self) -> bool:
        pods = self.pods()
        return len(pods) == REPLICAS and all(is_ready(pod) for pod in pods)

    def by(self, label: str) -> Counter[str]:
        nodes = {node["metadata"]["name"]: node["metadata"]["labels"] for node in self.server.api.all("v1", "Node")}
        return Counter(nodes[pod["spec"]["nodeName"]][label] for pod in self.pods())


def is_api(manifest: Manifest) -> bool:
    return manifest["metadata"]["labels"].get(COMPONENT) == "api"


@pytest.fixture(scope="module")
def placed(server: ControlPlane) -> Placed:
    """prod without its autoscalers; the API as a Deployment, because nobody here acts on a Rollout."""
    launch(server, settings_of("prod"))
    graph = applied(server, "prod", {"service.image": IMAGE})
    for autoscaler in of_kind(graph, "HorizontalPodAutoscaler"):
        server.api.delete(autoscaler)
    [workload] = [row for kind in ("Deployment", "Rollout") for row in of_kind(graph, kind) if is_api(row)]
    [budget] = [row for row in of_kind(graph, "PodDisruptionBudget") if is_api(row)]
    spec = {key: workload["spec"][key] for key in ("selector", "template")}
    for constraint in spec["template"]["spec"]["topologySpreadConstraints"]:
        constraint["matchLabelKeys"] = ["pod-template-hash"]
    deployment = {**workload, "apiVersion": "apps/v1", "kind": "Deployment", "spec": {**spec, "replicas": REPLICAS}}
    server.api.apply(deployment)
    found = Placed(server, deployment, budget)
    until(found.ready, 60, f"{REPLICAS} pods of the API ready")
    return found


def test_pods_are_spread_over_zones_and_a_quarter_is_on_demand(placed: Placed) -> None:
    zones, domains = placed.by(ZONE), placed.by("capacity-spread")
    assert len(zones) == 3
    assert max(zones.values()) - min(zones.values()) <= 1, zones
    assert len(domains) == 4
    assert max(domains.values()) - min(domains.values()) <= 1, domains
    assert placed.by(CAPACITY_TYPE)["on-demand"] == REPLICAS // 4


def test_a_drain_of_every_spot_node_keeps_the_budget_completes_and_leaves_nothing_pending(placed: Placed) -> None:
    api = placed.server.api
    spot = [node for node in api.all("v1", "Node") if node["metadata"]["labels"].get(CAPACITY_TYPE) == "spot"]
    for node in spot:
        api.merge(node, {"spec": {"unschedulable": True}})
    leaving = {node["metadata"]["name"] for node in spot}
    least, refused = REPLICAS, 0
    deadline = time.monotonic() + 90
    while on_spot := [pod for pod in placed.pods() if pod["spec"].get("nodeName") in leaving]:
        assert time.monotonic() < deadline, on_spot
        for pod in on_spot:
            refused += not evicted(placed.server, pod)
            least = min(least, sum(is_ready(each) for each in placed.pods()))
        time.sleep(0.1)
    until(placed.ready, 60, "every pod ready again")
    assert set(placed.by(CAPACITY_TYPE)) == {"on-demand"}
    # 10 % of 12, rounded up. It was asked for more than the budget allows, or the test shows nothing.
    allowed = -(-REPLICAS * int(str(placed.budget["spec"]["maxUnavailable"]).rstrip("%")) // 100)
    assert least >= REPLICAS - allowed
    assert refused > 0


def evicted(server: ControlPlane, pod: Manifest) -> bool:
    """Whether the budget let the pod go, as ``kubectl drain`` and Karpenter ask."""
    metadata = {key: pod["metadata"][key] for key in ("name", "namespace")}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    try:
        server.api.request("POST", f"{server.api.path(pod)}/eviction", body)
    except ApiError as error:
        if error.code not in (404, 429):
            raise
        return False
    return True
