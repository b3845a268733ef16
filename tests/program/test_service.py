"""The service's pods, their scaling and their end, from the captured graph."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from app import contract
from stacks.graph import Graph
from tests.environments import graph_of, pod_of, workload

STACKS = ["dev", "prod"]
WORKLOADS = ["agent-api", "agent-workers"]
HPA = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
VPA = "kubernetes:autoscaling.k8s.io/v1:VerticalPodAutoscaler"
PDB = "kubernetes:policy/v1:PodDisruptionBudget"


def every_pod(graph: Graph) -> dict[str, dict[str, Any]]:
    kinds = ("Deployment", "Rollout", "Job")
    return {r.inputs["metadata"]["name"]: r.inputs["spec"]["template"] for r in graph if r.kind in kinds}


@pytest.mark.parametrize("stack", STACKS)
def test_every_pod_of_ours_is_restricted_and_mounts_no_token(stack: str) -> None:
    graph = graph_of(stack)
    labels = graph.one("kubernetes:core/v1:Namespace", "agent").inputs["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, template in every_pod(graph).items():
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["containers"]:
            assert "@sha256:" in container["image"], name
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, name


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_has_time_to_drain_and_ends_within_a_spot_notice(stack: str, name: str) -> None:
    pod = pod_of(graph_of(stack), name)
    hooks = pod["containers"][0].get("lifecycle", {})
    sleep = hooks["preStop"]["sleep"]["seconds"] if hooks else 0
    assert (sleep > 0) == (name == "agent-api")  # nobody sends requests to a worker
    assert sleep + contract.DRAIN_SECONDS < pod["terminationGracePeriodSeconds"] < 120


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", WORKLOADS)
def test_pods_spread_over_zones_and_capacity_and_none_waits_for_it(stack: str, name: str) -> None:
    graph = graph_of(stack)
    template = workload(graph, name).inputs["spec"]["template"]
    constraints = template["spec"]["topologySpreadConstraints"]
    assert [row["topologyKey"] for row in constraints] == ["topology.kubernetes.io/zone", "capacity-spread"]
    for row in constraints:
        assert row["whenUnsatisfiable"] == "ScheduleAnyway"
        assert row["labelSelector"]["matchLabels"] == template["metadata"]["labels"]
        hash_label = "rollouts-pod-template-hash" if workload(graph, name).kind == "Rollout" else "pod-template-hash"
        assert row["matchLabelKeys"] == [hash_label]


@pytest.mark.parametrize("stack", STACKS)
def test_the_api_goes_before_workers_where_there_is_no_room_for_both(stack: str) -> None:
    graph = graph_of(stack)
    values = {
        r.inputs["metadata"]["name"]: r.inputs["value"]
        for r in graph.of_type("kubernetes:scheduling.k8s.io/v1:PriorityClass")
    }
    api, workers = (values[pod_of(graph, name)["priorityClassName"]] for name in WORKLOADS)
    assert api > workers > 0


@pytest.mark.parametrize("stack", STACKS)
def test_a_budget_always_lets_one_pod_go_and_covers_exactly_its_workload(stack: str) -> None:
    graph = graph_of(stack)
    budgets = {r.inputs["metadata"]["name"]: r.inputs["spec"] for r in graph.of_type(PDB)}
    for name in WORKLOADS:
        spec = budgets[name]
        assert "minAvailable" not in spec  # could allow none
        assert spec["maxUnavailable"].endswith("%")  # rounded up
        assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        assert spec["selector"]["matchLabels"] == workload(graph, name).inputs["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("stack", STACKS)
def test_only_the_api_is_behind_the_service_and_its_port_is_the_containers(stack: str) -> None:
    graph = graph_of(stack)
    service = graph.one("kubernetes:core/v1:Service", "agent-api").inputs["spec"]
    labels = {name: workload(graph, name).inputs["spec"]["template"]["metadata"]["labels"] for name in WORKLOADS}
    assert service["selector"].items() <= labels["agent-api"].items()
    assert not service["selector"].items() <= labels["agent-workers"].items()
    assert [(row["port"], row["targetPort"]) for row in service["ports"]] == [(contract.PORT, contract.PORT)]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", WORKLOADS)
def test_the_hpa_owns_the_replicas_of_what_it_targets(stack: str, name: str) -> None:
    graph = graph_of(stack)
    scaled = workload(graph, name)
    assert "replicas" not in scaled.inputs["spec"]
    assert scaled.options.ignore_changes == ("spec.replicas",)
    hpa = graph.one(HPA, f"{name}-scaling").inputs["spec"]
    assert hpa["scaleTargetRef"] == {
        "apiVersion": scaled.inputs["apiVersion"],
        "kind": scaled.kind,
        "name": scaled.inputs["metadata"]["name"],
    }
    usage = {r["containerResource"]["name"]: r["containerResource"] for r in hpa["metrics"] if "containerResource" in r}
    assert {row["container"] for row in usage.values()} == {pod_of(graph, name)["containers"][0]["name"]}
    limit = {"dev": 1024, "prod": 2048}[stack]
    assert {resource: row["target"] for resource, row in usage.items()} == {
        "cpu": {"type": "Utilization", "averageUtilization": 70},
        "memory": {"type": "AverageValue", "averageValue": f"{limit * 80 // 100}Mi"},
    }
    assert hpa["behavior"] == {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": 15},
                {"type": "Pods", "value": 8, "periodSeconds": 15},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 600,
            "selectPolicy": "Min",
            "policies": [
                {"type": "Percent", "value": 10, "periodSeconds": 60},
                {"type": "Pods", "value": 2, "periodSeconds": 60},
            ],
        },
    }


@pytest.mark.parametrize("stack", STACKS)
def test_workers_scale_by_their_runs_too_and_the_api_does_not(stack: str) -> None:
    graph = graph_of(stack)
    metrics = {name: graph.one(HPA, f"{name}-scaling").inputs["spec"]["metrics"] for name in WORKLOADS}
    assert [row["type"] for row in metrics["agent-api"]] == ["ContainerResource", "ContainerResource"]
    active, queued = metrics["agent-workers"][2:]
    assert active["pods"] == {
        "metric": {"name": contract.METRIC_ACTIVE_WORKFLOWS},
        "target": {"type": "AverageValue", "averageValue": "10"},
    }
    assert queued["external"]["metric"]["name"] == contract.METRIC_QUEUE_DEPTH
    assert queued["external"]["target"] == {"type": "AverageValue", "averageValue": "5"}
    # A worker that could hold no more than the target would never be over it.
    env = {row["name"]: row["value"] for row in pod_of(graph, "agent-workers")["containers"][0]["env"]}
    assert int(env[contract.ENV_WORKER_SLOTS]) > 10


def test_the_vpa_recommends_memory_requests_only_and_moves_nothing_yet() -> None:
    assert graph_of("dev").of_type(VPA) == []
    for name in WORKLOADS:
        graph = graph_of("prod")
        vpa = graph.one(VPA, f"{name}-scaling-vertical").inputs["spec"]
        assert vpa["targetRef"] == graph.one(HPA, f"{name}-scaling").inputs["spec"]["scaleTargetRef"]
        assert vpa["updatePolicy"]["updateMode"] == "Off"
        ours, others = vpa["resourcePolicy"]["containerPolicies"]
        assert (ours["controlledResources"], ours["controlledValues"]) == (["memory"], "RequestsOnly")
        assert (ours["minAllowed"], ours["maxAllowed"]) == (
            {"cpu": "100m", "memory": "512Mi"},
            {"cpu": "2", "memory": "4Gi"},
        )
        assert others == {"containerName": "*", "mode": "Off"}


@pytest.mark.parametrize("stack", STACKS)
def test_a_pod_reads_its_secrets_from_files_and_has_none_in_its_environment(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    classes = {
        r.inputs["metadata"]["name"]: json.loads(r.inputs["spec"]["parameters"]["objects"])
        for r in graph.of_type("kubernetes:secrets-store.csi.x-k8s.io/v1:SecretProviderClass")
    }
    for name, template in every_pod(graph).items():
        if name.startswith("database-init"):  # it asks Secrets Manager by itself: it writes there too
            continue
        [volume] = [row for row in template["spec"]["volumes"] if row["name"] == "secrets"]
        files = {row["objectAlias"] for row in classes[volume["csi"]["volumeAttributes"]["secretProviderClass"]]}
        for container in template["spec"]["containers"]:
            env = {row["name"]: row["value"] for row in container.get("env", [])}
            assert not any("valueFrom" in row for row in container.get("env", []))
            mounts = [row["mountPath"] for row in container["volumeMounts"] if row["name"] == "secrets"]
            for variable, value in env.items():
                assert urlsplit(value).password is None, f"{name}: {variable}"
                if variable.endswith("_FILE"):
                    assert value in {f"{mount}/{file}" for mount in mounts for file in files}, f"{name}: {variable}"


def test_bedrock_models_are_asked_in_order_and_other_variables_are_the_users_own() -> None:
    models = [{"id": "anthropic.claude-x", "profile": "us", "regions": ["us-east-1"]}, {"id": "amazon.nova-y"}]
    graph = graph_of("dev", {"service.models": models, "service.environment": {"AGENT_QUEUE_LIMIT": "7"}})
    env = {row["name"]: row["value"] for row in pod_of(graph, "agent-workers")["containers"][0]["env"]}
    assert env["AGENT_MODEL"] == "bedrock_converse:us.anthropic.claude-x"
    assert env["AGENT_MODEL_FALLBACKS"] == "bedrock_converse:amazon.nova-y"
    assert env["AGENT_QUEUE_LIMIT"] == "7"
