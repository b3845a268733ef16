"""Production's canary, from the captured graph; Argo's own controller acts on it in tests/cluster/test_canary.py."""

from __future__ import annotations

import math
from typing import Any

from infra.service_rules import ROLLOUT_SURGE
from stacks.delivery.target import standing_image
from stacks.graph import Graph
from tests.environments import graph_of, pod_of, workload

ROLLOUT = "kubernetes:argoproj.io/v1alpha1:Rollout"
ANALYSIS = "kubernetes:argoproj.io/v1alpha1:AnalysisTemplate"


def canary_of(graph: Graph) -> dict[str, Any]:
    return graph.one(ROLLOUT, "agent-api").inputs["spec"]["strategy"]["canary"]


def seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60}[duration[-1]]


def test_production_s_api_alone_comes_by_a_canary() -> None:
    kinds = {
        (stack, name): workload(graph_of(stack), f"agent-{name}").kind
        for stack in ("dev", "prod")
        for name in ("api", "workers")
    }
    assert [where for where, kind in kinds.items() if kind == "Rollout"] == [("prod", "api")]
    assert [row for row in graph_of("dev") if "argoproj" in row.type or row.name == "argo-rollouts"] == []


def test_a_rollout_s_pods_are_a_deployment_s_but_for_the_label_of_their_version() -> None:
    def pods(stack: str) -> dict[str, Any]:
        template = workload(graph_of(stack), "agent-api").inputs["spec"]["template"]
        [container] = template["spec"]["containers"]
        # The two environments differ in their sizes and settings.
        unlike = {"containers", "topologySpreadConstraints"}
        return {
            "labels": template["metadata"]["labels"],
            "pod": {key: value for key, value in template["spec"].items() if key not in unlike},
            "container": {key: value for key, value in container.items() if key not in ("env", "resources", "image")},
        }

    assert pods("prod") == pods("dev")


def test_the_share_of_new_pods_grows_to_all_and_no_old_one_goes_before_a_new_one_is_ready() -> None:
    canary = canary_of(graph_of("prod"))
    weights = [step["setWeight"] for step in canary["steps"] if "setWeight" in step]
    assert weights == [5, 20, 50, 100]
    assert [list(step) for step in canary["steps"]] == [["setWeight"], ["pause"]] * 3 + [["setWeight"]]
    assert canary["maxUnavailable"] == 0
    assert canary["maxSurge"] == f"{ROLLOUT_SURGE:.0%}"  # quota and connections are budgeted for it
    assert "trafficRouting" not in canary


def test_a_version_that_plainly_fails_is_taken_back_before_it_has_a_second_pod() -> None:
    graph = graph_of("prod")
    canary = canary_of(graph)
    template = graph.one(ANALYSIS, "agent-api").inputs
    assert canary["analysis"]["templates"] == [{"templateName": template["metadata"]["name"]}]
    assert "setWeight" in canary["steps"][canary["analysis"]["startingStep"] - 1]
    first = next(step["pause"]["duration"] for step in canary["steps"] if "pause" in step)
    for metric in template["spec"]["metrics"]:
        measured = seconds(metric["initialDelay"]) + metric["failureLimit"] * seconds(metric["interval"])
        assert measured < seconds(first), metric["name"]
        assert metric["inconclusiveLimit"] <= metric["failureLimit"]
        assert "count" not in metric  # until the last step
    least = next(
        row.inputs["spec"]["minReplicas"]
        for row in graph.of_type("kubernetes:autoscaling/v2:HorizontalPodAutoscaler")
        if row.inputs["metadata"]["name"] == "agent-api"
    )
    assert math.ceil(least * canary["steps"][0]["setWeight"] / 100) == 1


def test_what_delivery_goes_back_to_is_the_service_s_image_and_not_the_pooler_s() -> None:
    graph = graph_of("prod")
    kinds = ("Deployment", "Rollout")
    resources: list[dict[str, Any]] = [{"type": row.type, "inputs": row.inputs} for row in graph if row.kind in kinds]
    assert any("pgbouncer" in row["inputs"]["metadata"]["name"] for row in resources)
    for ordered in (resources, resources[::-1]):
        image = standing_image({"deployment": {"resources": ordered}})
        assert image == pod_of(graph, "agent-api")["containers"][0]["image"]


def test_the_gates_ask_for_the_new_version_s_pods_only() -> None:
    graph = graph_of("prod")
    spec = graph.one(ANALYSIS, "agent-api").inputs["spec"]
    [given] = canary_of(graph)["analysis"]["args"]
    assert given["valueFrom"] == {"podTemplateHashValue": "Latest"}
    assert [row["name"] for row in spec["args"]] == [given["name"]]
    for metric in spec["metrics"]:
        query = metric["provider"]["prometheus"]["query"]
        selectors = query.count("{") - query.count("{{") * 2
        assert selectors == query.count(f'rollouts_pod_template_hash="{{{{args.{given["name"]}}}}}"')
