"""Keys of charts' values that we set, as read in each chart's own values.yaml; None ends a path: below it anything goes.

kube-prometheus-stack: prometheus-community/helm-charts charts/kube-prometheus-stack/values.yaml at commits 001f3a6 and
6e36075 (2025: the newest that could be read; 88.5.3's own could not, so a key that went since is found by `helm` alone).
grafana: grafana-community/helm-charts charts/grafana/values.yaml at 0396812 (2026). kube-state-metrics and
prometheus-node-exporter: charts/<name>/values.yaml of prometheus-community/helm-charts at 0027117 and 0193199.
prometheus-adapter: the same repository at 4e2b8db. fluent-bit: fluent/helm-charts charts/fluent-bit/values.yaml at 011820b.
aws-load-balancer-controller: kubernetes-sigs/aws-load-balancer-controller helm/<name>/values.yaml at 0079377 (2.6); the two
of webhooks came later, as public Terraform that sets them shows. Charts that a Go module ships are rendered instead (tests/cluster/test_charts.py).
opentelemetry-collector: its README and templates at 0028bf0 (0.158.3), and the values of its ci/ at 9a19d65, for values.yaml
itself could not be read in any version of this year.
argo-rollouts: argoproj/argo-helm charts/argo-rollouts/values.yaml at 0071700, which is 2.40.9.
"""

from __future__ import annotations

from typing import Any

ENABLED = {"enabled": None}
IMAGE = {"image": {"registry": None}}
PLACED = {"nodeSelector": None, "tolerations": None, "resources": None}
BUDGET = {"podDisruptionBudget": {"enabled": None, "minAvailable": None, "unhealthyPodEvictionPolicy": None}}

KEYS: dict[str, dict[str, Any]] = {
    "argo-rollouts": {
        "controller": {**PLACED, **IMAGE, "replicas": None, "pdb": {"enabled": None, "maxUnavailable": None}},
        "providerRBAC": ENABLED,
    },
    "prometheus-operator-crds": {},
    "opentelemetry-collector": {
        **PLACED,
        **dict.fromkeys(("mode", "replicaCount", "podSecurityContext", "securityContext", "alternateConfig")),
        "podDisruptionBudget": {"enabled": None, "maxUnavailable": None},
        "topologySpreadConstraints": None,
        "image": {"repository": None},
        "serviceAccount": {"name": None, "automountServiceAccountToken": None},
        "ports": dict.fromkeys(
            ("jaeger-compact", "jaeger-grpc", "jaeger-thrift", "metrics", "otlp", "otlp-http", "zipkin"), ENABLED
        ),
    },
    "fluent-bit": {
        "image": {"repository": None},
        "serviceAccount": {"name": None},
        "testFramework": ENABLED,
        **dict.fromkeys(("tolerations", "priorityClassName", "resources")),
        "config": {"inputs": None, "filters": None, "outputs": None},
    },
    "prometheus-adapter": {
        **PLACED,
        "image": {"repository": None},
        "prometheus": {"url": None, "port": None},
        "rules": {"default": None, "custom": None, "external": None},
        "replicas": None,
        "podDisruptionBudget": {"enabled": None, "maxUnavailable": None},
    },
    "aws-load-balancer-controller": {
        **PLACED,
        **dict.fromkeys(
            ("clusterName", "region", "vpcId", "replicaCount", "keepTLSSecret", "createIngressClassResource")
        ),
        **dict.fromkeys(("enableServiceMutatorWebhook", "enableBackendSecurityGroup")),
        **dict.fromkeys(("enableShield", "enableWaf", "enableWafv2")),
        "image": {"repository": None},
        "serviceAccount": {"name": None},
        "podDisruptionBudget": None,
        "ingressClassParams": {"create": None},
        "webhookConfig": {"disableIngressValidation": None},
        "podMutatorWebhookConfig": {"failurePolicy": None},
        "controllerConfig": {"featureGates": None},
        "objectSelector": {"matchLabels": None},
    },
    "kube-prometheus-stack": {
        "crds": ENABLED,
        "defaultRules": {"create": None},
        **dict.fromkeys(("kubeControllerManager", "kubeScheduler", "kubeEtcd", "kubeProxy"), ENABLED),
        **dict.fromkeys(("kubeApiServer", "coreDns"), ENABLED),
        "prometheusOperator": {
            **PLACED,
            **IMAGE,
            "prometheusConfigReloader": IMAGE,
            "admissionWebhooks": ENABLED,
            "tls": ENABLED,
        },
        "prometheus": {
            **BUDGET,
            "prometheusSpec": {
                **PLACED,
                **IMAGE,
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
            "alertmanagerSpec": {**PLACED, **IMAGE, "replicas": None, "storage": None},
        },
        "kube-state-metrics": {**PLACED, **IMAGE, "collectors": None},
        "prometheus-node-exporter": {**IMAGE, "namespaceOverride": None, "resources": None},
        "grafana": {
            **PLACED,
            **IMAGE,
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
