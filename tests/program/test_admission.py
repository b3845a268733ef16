"""What the API server refuses by policy: judged from the captured objects, one broken object for each rule."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from stacks.graph import UNKNOWN
from tests.admission import PLURALS, refusals
from tests.environments import graph_of

NAMESPACE = "kubernetes:core/v1:Namespace"
LABELS = {"app.kubernetes.io/name": "agent", "app.kubernetes.io/component": "api"}
IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/langgraph-agents@sha256:{'0' * 64}"
POD: dict[str, Any] = {
    "metadata": {"name": "probe", "labels": LABELS},
    "spec": {"automountServiceAccountToken": False, "containers": [{"name": "agent", "image": IMAGE}]},
}
CARRIERS = {
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "Rollout": "argoproj.io/v1alpha1",
    "Pod": "v1",
}


def carried(pod: dict[str, Any], kind: str) -> dict[str, Any]:
    """The pod as an object, or inside one that makes such pods."""
    head: dict[str, Any] = {"apiVersion": CARRIERS[kind], "kind": kind}
    if kind == "Pod":
        return {**head, **pod}
    template: dict[str, Any] = {"template": pod}
    return {**head, "spec": {"jobTemplate": {"spec": template}} if kind == "CronJob" else template}


def namespace(name: str, stack: str = "prod") -> dict[str, str]:
    """The labels of a namespace, as the API server completes them."""
    for row in graph_of(stack).of_type(NAMESPACE):
        if row.inputs["metadata"]["name"] == name:
            return {**row.inputs["metadata"]["labels"], "kubernetes.io/metadata.name": name}
    return {"kubernetes.io/metadata.name": name}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The good pod with one thing in another way."""
    pod = copy.deepcopy(POD)
    target: Any = pod
    *parts, last = path.split("/")
    for part in parts:
        target = target[int(part)] if part.isdigit() else target.setdefault(part, {})
    target[last] = value
    return pod


BROKEN: dict[str, tuple[str, Any, str]] = {
    "another registry": ("spec/containers/0/image", f"docker.io/library/redis@sha256:{'0' * 64}", "images come from"),
    "a look-alike registry": ("spec/containers/0/image", IMAGE.replace(".com/", ".com.evil.io/"), "images come from"),
    "a tag": ("spec/containers/0/image", IMAGE.partition("@")[0] + ":latest", "by digest"),
    "a short digest": ("spec/containers/0/image", IMAGE[:-1], "by digest"),
    "another's init container": ("spec/initContainers", [{"name": "x", "image": "busybox"}], "images come from"),
    "another's debug container": ("spec/ephemeralContainers", [{"name": "x", "image": "busybox"}], "images come from"),
    "no labels": ("metadata/labels", {}, "carry the labels"),
    "no component": ("metadata/labels", {"app.kubernetes.io/name": "agent"}, "carry the labels"),
    "a token": ("spec/automountServiceAccountToken", True, "automountServiceAccountToken"),
}


@pytest.mark.parametrize("kind", CARRIERS)
def test_a_pod_as_it_should_be_is_admitted_by_whatever_it_comes(kind: str) -> None:
    assert list(refusals(graph_of("prod"), carried(POD, kind), namespace("agent"))) == []


@pytest.mark.parametrize("kind", CARRIERS)
@pytest.mark.parametrize("fault", BROKEN)
def test_a_pod_with_one_fault_is_refused_for_it(fault: str, kind: str) -> None:
    path, value, said = BROKEN[fault]
    manifest = carried(changed(path, value), kind)
    found = list(refusals(graph_of("prod"), manifest, namespace("agent")))
    assert any(said in message for message in found), found
    assert list(refusals(graph_of("prod"), manifest, namespace("somewhere-else"))) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec/containers/0/securityContext", {"privileged": True}),
        ("spec/initContainers", [{"name": "x", "image": IMAGE, "securityContext": {"privileged": True}}]),
        ("spec/hostNetwork", True),
        ("spec/hostPID", True),
        ("spec/hostIPC", True),
    ],
)
def test_privilege_is_for_kube_system_and_the_host_agents_only(path: str, value: Any) -> None:
    pod = carried(changed(path, value), "Pod")
    for place in ("agent", "monitoring", "argo-rollouts", "somewhere-else"):
        assert [row for row in refusals(graph_of("prod"), pod, namespace(place)) if "privileged" in row], place
    for place in ("host-agents", "kube-system"):
        assert not [row for row in refusals(graph_of("prod"), pod, namespace(place)) if "privileged" in row], place


def test_no_namespace_takes_a_load_balancer_of_its_own_or_foreign_addresses() -> None:
    def refused(spec: dict[str, Any], place: str) -> bool:
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": spec}
        return bool(list(refusals(graph_of("prod"), service, namespace(place))))

    for place in ("agent", "monitoring", "kube-system", "somewhere-else"):
        assert refused({"type": "LoadBalancer"}, place)
        assert refused({"externalIPs": ["198.51.100.7"]}, place)
        assert not refused({"type": "ClusterIP"}, place)
        assert not refused({}, place)


def test_a_rule_that_cannot_be_evaluated_refuses() -> None:
    without_containers = carried(changed("spec", {}), "Pod")
    assert list(refusals(graph_of("prod"), without_containers, namespace("agent")))


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_our_own_objects_are_admitted(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    judged = 0
    for row in graph:
        if row.package != "kubernetes" or row.inputs.get("kind") not in PLURALS:
            continue
        assert UNKNOWN not in row.inputs["metadata"].values()
        place = namespace(str(row.inputs["metadata"]["namespace"]), stack)
        assert list(refusals(graph, row.inputs, place)) == [], row.name
        judged += 1
    assert judged >= 2
