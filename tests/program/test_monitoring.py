"""Monitoring as it is built: what is installed in which order, with which rights, and what leaves the cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app import contract
from infra.kubernetes.labels import HOST_AGENTS, MONITORING
from infra.kubernetes.monitoring import CHART, PROMETHEUS_URL
from infra.problems import SettingsError
from stacks.graph import Graph, Resource
from tests.environments import graph_of, settings_of
from tests.program.chart_keys import KEYS, unknown
from tests.program.test_graph import reaches

GRAFANA = {"monitoring": {"grafana": True}}
ACTING: dict[str, Any] = {"service.vertical.mode": "InPlaceOrRecreate"}
RELEASE = "kubernetes:helm.sh/v3:Release"
MONITOR = "kubernetes:monitoring.coreos.com/v1:PodMonitor"
ENVIRONMENTS: list[tuple[str, dict[str, Any]]] = [("dev", {}), ("dev", GRAFANA), ("prod", {}), ("prod", GRAFANA)]


def release(graph: Graph, chart: str = CHART) -> Resource:
    return graph.one(RELEASE, chart)


def values(graph: Graph) -> dict[str, Any]:
    return dict(release(graph).inputs["values"])


@pytest.mark.parametrize(("stack", "changes"), [*ENVIRONMENTS, ("prod", ACTING)])
def test_every_value_is_a_key_of_its_chart(stack: str, changes: dict[str, Any]) -> None:
    charts = {row.name: row.inputs for row in graph_of(stack, changes) if row.type == RELEASE and row.name in KEYS}
    assert charts.keys() == KEYS.keys() - (set[str]() if stack == "prod" else {"argo-rollouts"})
    assert [path for name, row in charts.items() for path in unknown(dict(row.get("values", {})), KEYS[name])] == []
    assert all(row["version"] for row in charts.values())


def test_the_vertical_autoscaler_runs_what_its_mode_needs_and_comes_before_its_objects() -> None:
    for changes, acts in (({}, False), (ACTING, True)):
        graph = graph_of("prod", changes)
        installed = release(graph, "vertical-pod-autoscaler")
        parts = installed.inputs["values"]
        assert [parts[part]["enabled"] for part in ("updater", "admissionController")] == [acts, acts]
        objects = graph.of_type("kubernetes:autoscaling.k8s.io/v1:VerticalPodAutoscaler")
        assert objects
        assert all(reaches(graph, row, installed) for row in objects)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_metrics_of_the_scaling_come_from_the_prometheus_of_this_cluster(stack: str) -> None:
    graph = graph_of(stack)
    adapter = release(graph, "prometheus-adapter")
    assert "{url}:{port}".format(**adapter.inputs["values"]["prometheus"]) == PROMETHEUS_URL
    assert reaches(graph, adapter, release(graph))
    assert all(
        reaches(graph, row, adapter) for row in graph.of_type("kubernetes:autoscaling/v2:HorizontalPodAutoscaler")
    )


def test_a_key_that_no_chart_has_is_noticed() -> None:
    known = KEYS[CHART]
    assert unknown({"prometheus": {"prometheusSpec": {"retension": "15d"}}}, known) == [
        "prometheus.prometheusSpec.retension"
    ]
    assert unknown({"prometeus": {}}, known) == ["prometeus"]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_definitions_come_before_their_objects_and_before_the_operator(stack: str) -> None:
    graph = graph_of(stack)
    crds = release(graph, "prometheus-operator-crds")
    of_the_operator = [row for row in graph if row.type.startswith("kubernetes:monitoring.coreos.com/")]
    assert {row.kind for row in of_the_operator} == {"PrometheusRule", "PodMonitor"}
    assert all(reaches(graph, row, crds) for row in [*of_the_operator, release(graph)])
    assert reaches(graph, release(graph), graph.one("kubernetes:core/v1:Namespace", f"platform-{MONITORING}"))
    assert reaches(graph, release(graph), graph.one("kubernetes:core/v1:Namespace", f"platform-{HOST_AGENTS}"))


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_prometheus_finds_our_objects_and_keeps_what_it_read_on_an_encrypted_disk(stack: str) -> None:
    graph = graph_of(stack)
    spec = values(graph)["prometheus"]["prometheusSpec"]
    assert [key for key, value in spec.items() if key.endswith("NilUsesHelmValues") and value] == []
    disks = graph.one("kubernetes:storage.k8s.io/v1:StorageClass").inputs
    assert disks["parameters"] == {"type": "gp3", "encrypted": "true"}
    claims = [spec["storageSpec"], values(graph)["alertmanager"]["alertmanagerSpec"]["storage"]]
    assert {row["volumeClaimTemplate"]["spec"]["storageClassName"] for row in claims} == {disks["metadata"]["name"]}
    disk = int(claims[0]["volumeClaimTemplate"]["spec"]["resources"]["requests"]["storage"].removesuffix("Gi"))
    assert int(spec["retentionSize"].removesuffix("GiB")) < disk
    assert f"http://{release(graph).inputs['name']}-prometheus.{MONITORING}.svc:9090" == PROMETHEUS_URL


def test_what_runs_twice_may_lose_one_and_what_runs_once_holds_up_no_drain() -> None:
    for stack, twice in (("dev", False), ("prod", True)):
        for part in ("prometheus", "alertmanager"):
            assert ("podDisruptionBudget" in values(graph_of(stack))[part]) is twice


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_grafana_takes_its_password_from_a_file_and_lets_nobody_in_without(stack: str) -> None:
    graph = graph_of(stack, GRAFANA, preview=False)
    made = values(graph)["grafana"]
    assert made["grafana.ini"]["auth.anonymous"] == {"enabled": False}
    assert "adminPassword" not in made
    file = made["env"]["GF_SECURITY_ADMIN_PASSWORD"].removeprefix("$__file{").removesuffix("}")
    (mount,) = made["extraSecretMounts"]
    source = graph.one("kubernetes:secrets-store.csi.x-k8s.io/v1:SecretProviderClass", "grafana")
    assert mount["csi"]["volumeAttributes"] == {"secretProviderClass": source.inputs["metadata"]["name"]}
    assert source.inputs["metadata"]["namespace"] == MONITORING
    (mounted,) = json.loads(source.inputs["spec"]["parameters"]["objects"])
    assert file == f"{mount['mountPath']}/{mounted['objectAlias']}"
    assert made["rbac"] == {"create": False}
    boards = graph.one("kubernetes:core/v1:ConfigMap", "monitoring-dashboards").inputs
    assert list(made["dashboardsConfigMaps"].values()) == [boards["metadata"]["name"]]
    assert all(json.loads(text)["panels"] for text in boards["data"].values())
    assert sum(map(len, boards["data"].values())) < 2**20 * 0.9  # a ConfigMap ends at 1 MiB


def test_without_its_password_grafana_is_not_there_and_needs_an_entry_for_it() -> None:
    assert values(graph_of("prod"))["grafana"] == {"enabled": False}
    with pytest.raises(
        SettingsError, match=r"monitoring\.grafana=True: needs grafana-admin-password in secrets\.entries"
    ):
        settings_of("dev", {**GRAFANA, "secrets": {"entries": []}})


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_alertmanager_may_publish_to_its_two_topics_and_no_more(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    association = graph.one("aws:eks/podIdentityAssociation:PodIdentityAssociation", "workloads-alertmanager").inputs
    account = values(graph)["alertmanager"]["serviceAccount"]["name"]
    assert (association["namespace"], association["serviceAccount"]) == (MONITORING, account)
    policy = json.loads(graph.one("aws:iam/rolePolicy:RolePolicy", "workloads-alertmanager-topics").inputs["policy"])
    publish, key = policy["Statement"]
    receivers = values(graph)["alertmanager"]["config"]["receivers"]
    assert publish["Resource"] == [row["sns_configs"][0]["topic_arn"] for row in receivers]
    topics = graph.of_type("aws:sns/topic:Topic")
    assert {topic.inputs["kmsMasterKeyId"] for topic in topics} == {key["Resource"]}


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_silence_of_the_heartbeat_rings_the_topic_that_people_read(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    alarm = graph.one("aws:cloudwatch/metricAlarm:MetricAlarm", "heartbeat").inputs
    assert alarm["treatMissingData"] == "breaching"
    assert alarm["alarmActions"] == [graph.one("aws:sns/topic:Topic", "alerts").outputs["arn"]]
    assert alarm["dimensions"] == {"TopicName": graph.one("aws:sns/topic:Topic", "heartbeat").inputs["name"]}


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_services_pods_are_scraped_at_the_port_they_name_for_it(stack: str) -> None:
    graph = graph_of(stack)
    spec = graph.one(MONITOR, "monitoring-agent").inputs["spec"]
    pods = [row.inputs["spec"]["template"] for row in graph if row.kind in ("Deployment", "Rollout")]
    ours = [pod for pod in pods if spec["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()]
    assert len(ours) >= 2  # API and workers
    for pod in ours:
        (container,) = pod["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports[spec["podMetricsEndpoints"][0]["port"]] == contract.METRICS_PORT
    assert "rollouts-pod-template-hash" in spec["podTargetLabels"]  # by it the canary's analysis tells pods apart


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_kube_state_metrics_may_list_no_secret(stack: str) -> None:
    assert not {"secrets", "configmaps"} & set(values(graph_of(stack))["kube-state-metrics"]["collectors"])
