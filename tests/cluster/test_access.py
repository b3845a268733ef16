"""Admission and access, asked of the API server itself; the tables are those that are judged in process."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.cluster.api import ApiError, Manifest
from tests.cluster.control_plane import ControlPlane
from tests.cluster.custom_resources import definitions
from tests.cluster.manifests import IMAGE, pod
from tests.cluster.nodes import launch
from tests.cluster.program import applied
from tests.environments import settings_of
from tests.program.test_access import FOR_NOBODY, NEEDED, NEEDED_WITH_CANARY, VERBS

pytestmark = pytest.mark.cluster
NAMESPACE = settings_of("prod").service.namespace


@pytest.fixture(scope="module", autouse=True)
def prod(server: ControlPlane) -> None:
    """prod's objects."""
    launch(server, settings_of("prod"))
    for definition in definitions(server.definitions, "argo-rollouts"):
        server.api.apply(definition)
    applied(server, "prod", {"service.image": IMAGE})


def refusal(server: ControlPlane, manifest: Manifest) -> str:
    """Why the server would not take an object; empty when it would."""
    try:
        server.api.apply(manifest, dry_run=True)
    except ApiError as error:
        return str(error)
    return ""


def changed(where: str, value: Any, namespace: str = NAMESPACE) -> Manifest:
    """A pod that is as it should be, but for one thing."""
    if where == "labels":
        good = pod("probe", namespace)
        return {**good, "metadata": {**good["metadata"], "labels": value}}
    if where.startswith("container."):
        return pod("probe", namespace, container={where.removeprefix("container."): value})
    return pod("probe", namespace, **{where: value})


def in_a(kind: str, one: Manifest) -> Manifest:
    """What makes such pods."""
    metadata = {"name": "probe", "namespace": NAMESPACE}
    template: dict[str, Any] = {"metadata": {"labels": one["metadata"]["labels"]}, "spec": one["spec"]}
    selected = {"selector": {"matchLabels": {"app.kubernetes.io/name": "probe"}}, "template": template}
    once = {"template": {**template, "spec": {**template["spec"], "restartPolicy": "Never"}}}
    return {
        "Pod": one,
        "Deployment": {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": selected},
        "Rollout": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": metadata, "spec": selected},
        "Job": {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": once},
        "CronJob": {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": metadata,
            "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": once}},
        },
    }[kind]


KINDS = ("Pod", "Deployment", "Rollout", "Job", "CronJob")


@pytest.mark.parametrize("kind", KINDS)
def test_a_pod_as_it_should_be_is_admitted_by_whatever_it_comes(server: ControlPlane, kind: str) -> None:
    assert refusal(server, in_a(kind, pod("probe", NAMESPACE))) == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("container.image", f"docker.io/library/redis@sha256:{'0' * 64}", "images come from"),
        ("container.image", f"{IMAGE.partition('@')[0]}:latest", "images are named by digest"),
        ("labels", {"app.kubernetes.io/name": "probe"}, "pods carry the labels"),
        ("automountServiceAccountToken", True, "automountServiceAccountToken: false"),
    ],
)
def test_a_pod_that_breaks_a_rule_of_ours_is_refused_by_whatever_it_comes(
    server: ControlPlane, kind: str, where: str, value: Any, said: str
) -> None:
    assert said in refusal(server, in_a(kind, changed(where, value)))


@pytest.mark.parametrize("place", [NAMESPACE, "monitoring", "default"])
@pytest.mark.parametrize(
    ("where", "value"), [("container.securityContext", {"privileged": True}), ("hostNetwork", True), ("hostPID", True)]
)
def test_privilege_is_for_the_host_agents_only(server: ControlPlane, place: str, where: str, value: Any) -> None:
    said = refusal(server, changed(where, value, place))
    assert "violates PodSecurity" in said or "no privileged container and no host namespace" in said
    assert refusal(server, changed(where, value, "host-agents")) == ""


@pytest.mark.parametrize(
    ("spec", "said"),
    [({"type": "LoadBalancer"}, "no Service of type LoadBalancer"), ({"externalIPs": ["198.51.100.7"]}, "externalIPs")],
)
def test_no_namespace_takes_a_load_balancer_of_its_own_or_foreign_addresses(
    server: ControlPlane, spec: dict[str, Any], said: str
) -> None:
    for place in (NAMESPACE, "default", "kube-system"):
        metadata = {"name": "probe", "namespace": place}
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"port": 80}], **spec},
        }
        assert said in refusal(server, service)


def test_the_namespace_takes_no_more_than_its_bounds(server: ControlPlane) -> None:
    metadata = {"name": "probe", "namespace": NAMESPACE}
    spec = {"type": "NodePort", "ports": [{"port": 80}]}
    said = refusal(server, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    assert "exceeded quota" in said
    assert "services.nodeports=0" in said
    large = {"requests": {"cpu": "1", "memory": "64Gi"}, "limits": {"cpu": "1", "memory": "64Gi"}}
    assert "maximum memory usage per Container" in refusal(
        server, pod("probe", NAMESPACE, container={"resources": large})
    )


def allowed(server: ControlPlane, who: dict[str, Any], verb: str, resource: str) -> bool:
    """Whether the server would let somebody do it in the service's namespace."""
    group, _, name = resource.partition("/")
    name, _, subresource = name.partition("/")
    attributes = {
        "namespace": NAMESPACE,
        "verb": verb,
        "group": group,
        "resource": name,
        "subresource": subresource,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {**who, "resourceAttributes": attributes},
    }
    path = server.api.collection("authorization.k8s.io/v1", "SubjectAccessReview")
    return server.api.request("POST", path, review)["status"]["allowed"]


@pytest.mark.parametrize(("column", "group"), [(0, "agents:viewers"), (1, "agents:deployers")])
def test_the_server_grants_people_what_they_need_and_nothing_else(
    server: ControlPlane, column: int, group: str
) -> None:
    who = {"user": "somebody", "groups": [group, "system:authenticated"]}
    needed = NEEDED | NEEDED_WITH_CANARY
    asked = product((*needed, *FOR_NOBODY), VERBS)
    granted = {(name, verb) for name, verb in asked if allowed(server, who, verb, name)}
    assert granted == {(name, verb) for name, verbs in needed.items() for verb in verbs[column]}


def test_the_server_grants_the_service_nothing(server: ControlPlane) -> None:
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"]
    who = {"user": f"system:serviceaccount:{NAMESPACE}:agent", "groups": groups}
    asked = product((*NEEDED, *NEEDED_WITH_CANARY, *FOR_NOBODY), VERBS)
    assert [(verb, name) for name, verb in asked if allowed(server, who, verb, name)] == []
