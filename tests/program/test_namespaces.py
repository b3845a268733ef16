"""Namespaces: what Pod Security they enforce, and how much the service's may ask for."""

from __future__ import annotations

import math
from typing import Any

import pytest

from infra.quantities import mebibytes, millicores
from tests.environments import graph_of, settings_of

CORE = "kubernetes:core/v1:"


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_only_the_host_agents_may_be_privileged_and_their_namespace_says_why(stack: str) -> None:
    enforced: dict[str, str] = {}
    for row in graph_of(stack).of_type(f"{CORE}Namespace"):
        metadata: dict[str, Any] = row.inputs["metadata"]
        labels = {key.rpartition("/")[2]: value for key, value in metadata["labels"].items() if "pod-security" in key}
        enforced[metadata["name"]] = labels["enforce"]
        assert (labels["audit"], labels["warn"]) == ("restricted", "restricted")
        assert {labels[f"{mode}-version"] for mode in ("enforce", "audit", "warn")} == {"v1.36"}
        assert ("kubernetes.io/description" in metadata.get("annotations", {})) == (labels["enforce"] == "privileged")
    expected = {"agent": "restricted", "monitoring": "baseline", "host-agents": "privileged"}
    assert enforced == (expected | {"argo-rollouts": "restricted"} if stack == "prod" else expected)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_quota_holds_every_replica_of_a_rollout_and_nothing_that_pulumi_does_not_own(stack: str) -> None:
    service = settings_of(stack).service
    hard = graph_of(stack).one(f"{CORE}ResourceQuota").inputs["spec"]["hard"]
    pods = [(math.ceil(part.max_replicas * 1.25), part) for part in (service.api, service.workers)]
    most = sum(count for count, _ in pods)
    assert most < int(hard["pods"]) < most + 50
    assert millicores(hard["requests.cpu"]) >= sum(count * millicores(part.cpu_request) for count, part in pods)
    assert mebibytes(hard["requests.memory"]) >= sum(count * mebibytes(part.memory_request) for count, part in pods)
    assert [hard[key] for key in ("services.loadbalancers", "services.nodeports", "persistentvolumeclaims")] == [
        "0"
    ] * 3


def test_a_vpa_that_acts_finds_room_in_the_quota() -> None:
    acting = graph_of("prod", {"service.vertical.mode": "InPlaceOrRecreate"}).one(f"{CORE}ResourceQuota")
    hard = acting.inputs["spec"]["hard"]
    assert mebibytes(hard["requests.memory"]) >= 325 * mebibytes("4Gi")


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_container_may_be_as_large_as_its_limit_and_its_vpa_allow(stack: str) -> None:
    service = settings_of(stack).service
    [item] = graph_of(stack).one(f"{CORE}LimitRange").inputs["spec"]["limits"]
    for part in (service.api, service.workers):
        assert millicores(item["max"]["cpu"]) >= millicores(part.cpu_limit)
        assert mebibytes(item["max"]["memory"]) >= mebibytes(part.memory_limit)
    if service.vertical:
        assert mebibytes(item["max"]["memory"]) >= mebibytes(service.vertical.max_memory)
    for resource, requested in item["defaultRequest"].items():
        number = millicores if resource == "cpu" else mebibytes
        assert number(requested) <= number(item["default"].get(resource, item["max"][resource]))
