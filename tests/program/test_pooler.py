"""The pooler's objects, and who goes through it."""

from __future__ import annotations

from typing import Any

import pytest

from app import contract
from infra.problems import SettingsError
from infra.system_pods import POOLER
from stacks.graph import Graph
from tests.environments import REMOVED, graph_of, pod_of, settings_of, workload

DIRECT = "rds.amazonaws.com:5432/agents?sslmode=verify-full"


def urls(graph: Graph, name: str) -> dict[str, str]:
    names = (contract.ENV_DATABASE_URL, contract.ENV_DATABASE_DIRECT_URL)
    return {row["name"]: row["value"] for row in pod_of(graph, name)["containers"][0]["env"] if row["name"] in names}


@pytest.mark.parametrize("name", ["agent-api", "agent-workers"])
def test_the_services_transactions_go_through_the_pooler_and_listen_past_it(name: str) -> None:
    graph = graph_of("prod", preview=False)
    service = graph.one("kubernetes:core/v1:Service", "pooler").inputs
    [port] = service["spec"]["ports"]
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    found = urls(graph, name)
    assert f"@{host}:{port['port']}/agents?" in found[contract.ENV_DATABASE_URL]
    assert found[contract.ENV_DATABASE_DIRECT_URL].endswith(DIRECT)


@pytest.mark.parametrize("name", ["database-init", "migrate"])
def test_jobs_go_straight_to_the_database(name: str) -> None:
    [url] = urls(graph_of("prod", preview=False), name).values()
    assert url.endswith(DIRECT)


def test_without_the_setting_nothing_of_it_is_there_and_the_service_goes_straight_to_the_database() -> None:
    graph = graph_of("prod", {"database.pooler": None}, preview=False)
    assert "pgbouncer" not in "".join(row.name + str(row.inputs.get("metadata")) for row in graph)
    [url] = urls(graph, "agent-api").values()
    assert url.endswith(DIRECT)


def test_its_pods_are_found_by_service_budget_and_prometheus_at_ports_that_they_have() -> None:
    graph = graph_of("prod")
    template = workload(graph, "pgbouncer").inputs["spec"]["template"]
    labels: dict[str, str] = template["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for c in template["spec"]["containers"] for port in c["ports"]}
    service = graph.one("kubernetes:core/v1:Service", "pooler").inputs["spec"]
    budget = graph.one("kubernetes:policy/v1:PodDisruptionBudget", "pooler").inputs["spec"]
    monitor = graph.one("kubernetes:monitoring.coreos.com/v1:PodMonitor", "monitoring-pgbouncer").inputs["spec"]
    assert service["selector"] == budget["selector"]["matchLabels"] == monitor["selector"]["matchLabels"] == labels
    assert [(row["port"], row["targetPort"]) for row in service["ports"]] == [(6432, ports["postgresql"])]
    assert {row["port"] for row in monitor["podMetricsEndpoints"]} <= ports.keys()
    assert budget["maxUnavailable"] == 1


def test_its_pods_ask_for_what_the_system_nodes_were_measured_with_and_spread_over_zones() -> None:
    spec = workload(graph_of("prod"), "pgbouncer").inputs["spec"]
    pod = spec["template"]["spec"]
    asked = [container["resources"]["requests"] for container in pod["containers"]]
    assert asked == [{"cpu": f"{row.cpu_millicores}m", "memory": f"{row.memory_mib}Mi"} for row in POOLER.values()]
    assert pod["nodeSelector"] == {"karpenter.sh/controller": "true"}
    assert pod["topologySpreadConstraints"][0]["topologyKey"] == "topology.kubernetes.io/zone"
    assert spec["replicas"] == 3


def test_a_changed_configuration_makes_new_pods() -> None:
    def mark(changes: dict[str, Any]) -> str:
        graph = graph_of("prod", changes, preview=False)
        return workload(graph, "pgbouncer").inputs["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert mark({}) == mark({"database.pooler.replicas": 2}) != mark({"database.pooler.poolSize": 30})


def test_its_role_reads_the_list_of_users_and_nothing_else() -> None:
    graph = graph_of("prod", preview=False)
    [policy] = [
        row for row in graph.of_type("aws:iam/rolePolicy:RolePolicy") if row.name == "workloads-pgbouncer-secrets"
    ]
    secret = graph.one("aws:secretsmanager/secret:Secret", "secrets-database-pooler")
    found = str(policy.inputs["policy"])
    assert found.count("arn:aws:secretsmanager") == 1
    assert str(secret.inputs["name"]) in found
    [mounted] = [row for row in graph if row.kind == "SecretProviderClass" and row.name == "pgbouncer"]
    assert str(secret.inputs["name"]) in str(mounted.inputs["spec"])


@pytest.mark.parametrize("field", ["image", "exporterImage"])
def test_a_service_behind_it_needs_its_images_and_is_told_which_to_copy(field: str) -> None:
    with pytest.raises(SettingsError, match=rf"database.pooler.{field}=\(absent\).*Copy .*@sha256:[0-9a-f]{{64}} into"):
        settings_of("prod", {f"database.pooler.{field}": REMOVED})
    settings_of("prod", {f"database.pooler.{field}": REMOVED}, image=False)
