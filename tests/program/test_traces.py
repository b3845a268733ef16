"""What the service traces: where it sends its spans, who may pass them on, and how much of prod is traced."""

from __future__ import annotations

import json

import pytest

from app import contract
from infra.kubernetes.flows import OTLP_PORT
from infra.kubernetes.labels import COLLECTOR_LABELS, MONITORING
from tests.environments import graph_of, pod_of, settings_of
from tests.program.test_graph import reaches

STACKS = ["dev", "prod"]
RELEASE = "kubernetes:helm.sh/v3:Release"


def variables(stack: str, workload: str, changes: dict[str, object] | None = None) -> dict[str, str]:
    return {row["name"]: row["value"] for row in pod_of(graph_of(stack, changes), workload)["containers"][0]["env"]}


@pytest.mark.parametrize("stack", STACKS)
def test_spans_go_to_the_collector_and_from_there_to_x_ray(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    collector = graph.one(RELEASE, "opentelemetry-collector")
    values = collector.inputs["values"]
    # As the chart names its Service: by the release, whose name holds the chart's.
    url = f"http://{collector.inputs['name']}.{MONITORING}.svc:{OTLP_PORT}"
    assert {variables(stack, part)[contract.OTEL_ENDPOINT] for part in ("agent-api", "agent-workers")} == {url}
    assert collector.inputs["namespace"] == MONITORING

    config = values["alternateConfig"]
    [(name, pipeline)] = config["service"]["pipelines"].items()
    assert (name, pipeline["exporters"]) == ("traces", ["awsxray"])
    assert pipeline["processors"] == ["memory_limiter", "batch"]
    for kind in ("receivers", "processors", "exporters"):
        assert set(config[kind]) == set(pipeline[kind])
    assert config["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(f":{OTLP_PORT}")
    assert config["exporters"]["awsxray"]["region"] == "us-east-1"
    assert values["ports"]["metrics"] == {"enabled": True}
    assert not any(port["enabled"] for name, port in values["ports"].items() if name != "metrics")

    association = graph.one("aws:eks/podIdentityAssociation:PodIdentityAssociation", "workloads-trace-collector")
    account = (association.inputs["namespace"], association.inputs["serviceAccount"])
    assert account == (MONITORING, values["serviceAccount"]["name"])
    policy = json.loads(graph.one("aws:iam/rolePolicy:RolePolicy", "workloads-trace-collector-traces").inputs["policy"])
    assert {action.partition(":")[0] for action in policy["Statement"][0]["Action"]} == {"xray"}
    namespace = graph.one("kubernetes:core/v1:Namespace", f"platform-{MONITORING}")
    assert all(reaches(graph, collector, row) for row in (association, namespace))


def test_prods_collectors_are_on_different_nodes_and_go_one_after_the_other() -> None:
    budgets: dict[str, dict[str, object]] = {}
    for stack in STACKS:
        values = graph_of(stack).one(RELEASE, "opentelemetry-collector").inputs["values"]
        budgets[stack] = values["podDisruptionBudget"]
        spread = values["topologySpreadConstraints"]
        assert [row["topologyKey"] for row in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        assert {row["whenUnsatisfiable"] for row in spread} == {"ScheduleAnyway"}
        assert all(row["labelSelector"]["matchLabels"] == COLLECTOR_LABELS for row in spread)
    # With one pod a budget would keep its node from ever being drained.
    one, two = {"enabled": False, "maxUnavailable": 1}, {"enabled": True, "maxUnavailable": 1}
    assert budgets == {"dev": one, "prod": two}


@pytest.mark.parametrize("stack", STACKS)
def test_where_aws_is_asked_inside_the_vpc_x_ray_is_too(stack: str) -> None:
    endpoints = settings_of(stack).network.interface_endpoints
    assert bool(endpoints) == ("xray" in endpoints)


def test_dev_traces_everything_prod_a_part_and_settings_may_say_otherwise() -> None:
    ratio = contract.OTEL_SAMPLER_RATIO
    assert (variables("dev", "agent-api")[ratio], variables("prod", "agent-api")[ratio]) == ("1", "0.01")
    assert variables("prod", "agent-workers", {"service.environment": {ratio: "0.2"}})[ratio] == "0.2"
