"""The service's nights on a real API server: the Jobs are admitted and placed, and their account scales two Deployments."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.graph import Graph
from tests.cluster.api import Api, ApiError, Manifest, until
from tests.cluster.control_plane import ControlPlane
from tests.cluster.manifests import IMAGE
from tests.cluster.nodes import launch
from tests.cluster.program import applied, named
from tests.environments import settings_of

pytestmark = pytest.mark.cluster
OFF = {"timeZone": "Europe/Berlin", "from": "20:00", "to": "08:00"}
NAMESPACE, PATCH = "agent", "application/merge-patch+json"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"


@pytest.fixture(scope="module")
def graph(server: ControlPlane) -> Graph:
    """dev's objects, all of which the server takes."""
    launch(server, settings_of("dev"))
    return applied(server, "dev", {"service.image": IMAGE, "offHours": OFF})


@pytest.fixture(scope="module")
def account(server: ControlPlane, graph: Graph) -> Api:
    """The server as the Jobs see it, with a token such as their pods have."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/off-hours/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    return Api(server.kubeconfig, server.api.request("POST", path, asked)["status"]["token"])


def by_hand(graph: Graph, name: str) -> Manifest:
    """What `kubectl create job --from=cronjob/NAME` makes."""
    template = named(graph, "CronJob", name)["spec"]["jobTemplate"]
    metadata = {"name": f"{name}-by-hand", "namespace": NAMESPACE}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.parametrize("name", ["service-off", "service-on"])
def test_a_job_started_by_hand_is_admitted_and_its_pod_goes_to_a_system_node(
    server: ControlPlane, graph: Graph, name: str
) -> None:
    job = by_hand(graph, name)
    server.api.apply(job)

    def placed() -> list[str]:
        selector = {"labelSelector": f"batch.kubernetes.io/job-name={job['metadata']['name']}"}
        found = server.api.all("v1", "Pod", NAMESPACE, **selector)
        return [row["spec"]["nodeName"] for row in found if row["spec"].get("nodeName")]

    [node] = until(placed, 30, "a pod with a node")
    assert node.startswith("system-")


@pytest.mark.parametrize("name", ["agent-api", "agent-workers"])
def test_its_account_scales_the_service_as_kubectl_does(server: ControlPlane, account: Api, name: str) -> None:
    for replicas in (0, 1):
        assert account.request("GET", f"{DEPLOYMENTS}/{name}")["metadata"]["name"] == name
        account.request("PATCH", f"{DEPLOYMENTS}/{name}/scale", {"spec": {"replicas": replicas}}, PATCH)
        assert server.api.request("GET", f"{DEPLOYMENTS}/{name}")["spec"]["replicas"] == replicas


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", DEPLOYMENTS, None),
        ("PATCH", f"{DEPLOYMENTS}/agent-api", {"spec": {"replicas": 0}}),
        ("DELETE", f"{DEPLOYMENTS}/agent-api", None),
        ("PATCH", f"{DEPLOYMENTS}/pgbouncer/scale", {"spec": {"replicas": 0}}),
        ("PATCH", "/apis/apps/v1/namespaces/monitoring/deployments/agent-api/scale", {"spec": {"replicas": 0}}),
        ("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets", None),
    ],
)
def test_its_account_may_do_nothing_else(account: Api, method: str, path: str, body: Any) -> None:
    with pytest.raises(ApiError) as refused:
        account.request(method, path, body, PATCH if body else "")
    assert refused.value.code == 403
