"""Prometheus, Alertmanager and Grafana from the pinned kube-prometheus-stack, with our own rules and dashboards only.

The chart's own alerts and dashboards are off: they have neither tests nor runbooks here.
"""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.helm.v3 import Release
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.aws.heartbeat import Topics
from infra.component import Component
from infra.kubernetes import alertmanager, dashboards, grafana
from infra.kubernetes.alerts import rule_groups
from infra.kubernetes.charts import PLACED, release, resources, small
from infra.kubernetes.labels import HOST_AGENTS, MONITORING
from infra.kubernetes.off_hours import quiet
from infra.kubernetes.scraping import GROUP, pod_monitor, scraped
from infra.settings import Settings
from infra.system_pods import system_pod

CHART = "kube-prometheus-stack"
PROMETHEUS_URL = f"http://{CHART}-prometheus.{MONITORING}.svc:9090"
DISKS = "gp3-encrypted"
RETENTION_DAYS = 15  # two of the longest windows of a rule are six days; what is older is in no alert
PROMETHEUS_GIB = 50
# Of the disk: blocks are deleted before it is full (prometheus.io/docs/prometheus/latest/storage).
PROMETHEUS_SIZE = f"{PROMETHEUS_GIB * 8 // 10}GiB"


class Monitoring(Component):
    """Metrics, alerts and dashboards of the cluster.

    Produces: StorageClass, Release prometheus-operator-crds (Helm never upgrades CRDs of a chart's own), Release
    kube-prometheus-stack, PrometheusRule, a PodMonitor per row of ``scraped``, ConfigMap of dashboards.
    """

    release: Release
    crds: Release

    def __init__(
        self,
        name: str,
        settings: Settings,
        topics: Topics,
        cluster: pulumi.Resource,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        # What owns nothing outside the cluster goes with it at a destroy; a Release, whose pods have disks, by itself.
        with_cluster = pulumi.ResourceOptions(deleted_with=cluster)
        plain = pulumi.ResourceOptions.merge(self.child(), with_cluster)
        disks = kubernetes.storage.v1.StorageClass(
            name,
            metadata=ObjectMetaArgs(name=DISKS),
            provisioner="ebs.csi.aws.com",
            parameters={"type": "gp3", "encrypted": "true"},
            # A disk is made where its pod is placed, and goes with its claim.
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            opts=plain,
        )
        boards = dashboards.config_map(name, plain)
        self.crds = release(settings, "prometheus-operator-crds", MONITORING, {}, self.child())
        needs = [self.crds, disks, boards]
        self.release = release(settings, CHART, MONITORING, values(settings, topics), self.child(depends_on=needs))
        rules = rule_groups(settings.service.namespace)
        of_the_operator = pulumi.ResourceOptions.merge(plain, pulumi.ResourceOptions(depends_on=[self.crds]))
        kubernetes.apiextensions.CustomResource(
            name,
            api_version=GROUP,
            kind="PrometheusRule",
            metadata=ObjectMetaArgs(name="agent", namespace=MONITORING),
            spec={"groups": quiet(rules, settings.service.namespace) if settings.off_hours else rules},
            opts=of_the_operator,
        )
        for row in scraped(settings):
            pod_monitor(name, row, of_the_operator)
        self.register_outputs({})


def values(settings: Settings, topics: Topics) -> dict[str, Any]:
    """The values of kube-prometheus-stack; tests/program/chart_keys.py records the keys it knows."""
    off = {"enabled": False}
    return {
        "crds": off,
        "defaultRules": {"create": False},
        # EKS runs these itself and shows no pods of them.
        **dict.fromkeys(("kubeControllerManager", "kubeScheduler", "kubeEtcd", "kubeProxy"), off),
        # Nothing here asks for their thousands of series.
        **dict.fromkeys(("kubeApiServer", "coreDns"), off),
        "prometheusOperator": {
            # promtool judged the rules before they came here, so nothing calls the operator, and it needs no certificate.
            "admissionWebhooks": off,
            "tls": off,
            **small(settings, "prometheus-operator"),
        },
        "prometheus": {"prometheusSpec": _prometheus(settings), **_budget(settings, "prometheus")},
        "alertmanager": {
            "serviceAccount": {"name": alertmanager.SERVICE_ACCOUNT},
            "config": alertmanager.configuration(
                settings.environment, settings.region, topics.alerts, topics.heartbeat
            ),
            "alertmanagerSpec": {
                "replicas": system_pod(settings.environment, "alertmanager").replicas,
                "storage": _claim(2),  # silences and what was sent
                **small(settings, "alertmanager"),
            },
            **_budget(settings, "alertmanager"),
        },
        "kube-state-metrics": {
            # What the rules and dashboards read; each is a right to list it in the whole cluster, Secrets by default too.
            "collectors": ["deployments", "horizontalpodautoscalers", "jobs", "nodes", "pods"],
            **small(settings, "kube-state-metrics"),
        },
        "prometheus-node-exporter": {
            "namespaceOverride": HOST_AGENTS,
            "resources": resources(settings, "node-exporter"),
        },
        "grafana": grafana.values(PLACED, resources(settings, "grafana"), DISKS, PROMETHEUS_URL)
        if settings.monitoring.grafana
        else off,
    }


def _prometheus(settings: Settings) -> dict[str, Any]:
    # Else the chart's Prometheus sees only what the chart itself made.
    kinds = ("rule", "serviceMonitor", "podMonitor", "probe", "scrapeConfig")
    pod = system_pod(settings.environment, "prometheus")
    return {
        "replicas": pod.replicas,
        "retention": f"{RETENTION_DAYS}d",
        "retentionSize": PROMETHEUS_SIZE,
        "scrapeInterval": "15s",  # the HPA's own interval: older numbers would be its delay
        "evaluationInterval": "30s",
        "storageSpec": _claim(PROMETHEUS_GIB),
        "podAntiAffinityTopologyKey": "topology.kubernetes.io/zone",
        **{f"{kind}SelectorNilUsesHelmValues": False for kind in kinds},
        **PLACED,
        # Twice the request: a restart reads the write-ahead log into memory.
        "resources": resources(settings, "prometheus"),
    }


def _claim(gib: int) -> dict[str, Any]:
    spec = {
        "storageClassName": DISKS,
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{gib}Gi"}},
    }
    return {"volumeClaimTemplate": {"spec": spec}}


def _budget(settings: Settings, pod: str) -> dict[str, Any]:
    """A disruption budget for what runs twice; beside a single pod it would hold up every drain."""
    twice = system_pod(settings.environment, pod).replicas > 1
    return {"podDisruptionBudget": {"enabled": True, "minAvailable": 1}} if twice else {}
