"""Keys of charts' values that we set, as read in each chart's own values.yaml; None ends a path: below it anything goes.

kube-prometheus-stack: prometheus-community/helm-charts charts/kube-prometheus-stack/values.yaml at commits 001f3a6 and
6e36075 (2025: the newest that could be read; 88.5.3's own could not, so a key that went since is found by `helm` alone).
grafana: grafana-community/helm-charts charts/grafana/values.yaml at 0396812 (2026). kube-state-metrics and
prometheus-node-exporter: charts/<name>/values.yaml of prometheus-community/helm-charts at 0027117 and 0193199.
prometheus-adapter: the same repository at 4e2b8db. vertical-pod-autoscaler: the Go module's own, of this version.
"""

from __future__ import annotations

from typing import Any

ENABLED = {"enabled": None}
PLACED = {"nodeSelector": None, "tolerations": None, "resources": None}
BUDGET = {"podDisruptionBudget": {"enabled": None, "minAvailable": None, "unhealthyPodEvictionPolicy": None}}

KEYS: dict[str, dict[str, Any]] = {
    "prometheus-operator-crds": {},
    "prometheus-adapter": {
        **PLACED,
        "prometheus": {"url": None, "port": None},
        "rules": {"default": None, "custom": None, "external": None},
        "replicas": None,
        "podDisruptionBudget": {"enabled": None, "maxUnavailable": None},
    },
    "vertical-pod-autoscaler": {
        part: {**PLACED, **ENABLED, "replicas": None, "podDisruptionBudget": ENABLED}
        for part in ("recommender", "updater", "admissionController")
    },
    "kube-prometheus-stack": {
        "crds": ENABLED,
        "defaultRules": {"create": None},
        **dict.fromkeys(("kubeControllerManager", "kubeScheduler", "kubeEtcd", "kubeProxy"), ENABLED),
        **dict.fromkeys(("kubeApiServer", "coreDns"), ENABLED),
        "prometheusOperator": {"admissionWebhooks": ENABLED, "tls": ENABLED, **PLACED},
        "prometheus": {
            **BUDGET,
            "prometheusSpec": {
                **PLACED,
                **dict.fromkeys(("replicas", "retention", "retentionSize", "scrapeInterval", "evaluationInterval")),
                "storageSpec": None,
                "podAntiAffinityTopologyKey": None,
                "ruleSelectorNilUsesHelmValues": None,
                "serviceMonitorSelectorNilUsesHelmValues": None,
                "podMonitorSelectorNilUsesHelmValues": None,
                "probeSelectorNilUsesHelmValues": None,
                "scrapeConfigSelectorNilUsesHelmValues": None,
            },
        },
        "alertmanager": {
            **BUDGET,
            "serviceAccount": {"name": None},
            "config": None,
            "alertmanagerSpec": {**PLACED, "replicas": None, "storage": None},
        },
        "kube-state-metrics": {**PLACED, "collectors": None},
        "prometheus-node-exporter": {"namespaceOverride": None, "resources": None},
        "grafana": {
            **PLACED,
            "enabled": None,
            "defaultDashboardsEnabled": None,
            "serviceAccount": {"name": None, "autoMount": None},
            "rbac": {"create": None},
            "automountServiceAccountToken": None,
            "sidecar": {"dashboards": ENABLED, "datasources": ENABLED},
            **dict.fromkeys(("dashboardsConfigMaps", "dashboardProviders", "datasources", "env", "extraSecretMounts")),
            "grafana.ini": None,
            "persistence": {"enabled": None, "storageClassName": None, "size": None},
            "deploymentStrategy": None,
            "initChownData": ENABLED,
            "testFramework": ENABLED,
        },
    },
}


def unknown(values: Any, known: dict[str, Any], path: str = "") -> list[str]:
    """The paths of values that the chart does not know."""
    found: list[str] = []
    for key, value in values.items():
        here = f"{path}.{key}".removeprefix(".")
        if key not in known:
            found.append(here)
        elif isinstance(known[key], dict):
            found += unknown(value, known[key], here) if hasattr(value, "items") else [here]
    return found
