"""Grafana inside kube-prometheus-stack: no anonymous reader, no password in values, no right on the Kubernetes API."""

from __future__ import annotations

from typing import Any

from infra.kubernetes.dashboards import CONFIG_MAP
from infra.settings.platform import GRAFANA_PASSWORD

SERVICE_ACCOUNT = "grafana"
SECRETS = "/run/secrets/grafana"
FOLDER = "agents"


def values(placement: dict[str, Any], resources: dict[str, Any], disks: str, prometheus: str) -> dict[str, Any]:
    """The value ``grafana`` of the chart."""
    off = {"enabled": False}
    return {
        "defaultDashboardsEnabled": False,
        "serviceAccount": {"name": SERVICE_ACCOUNT, "autoMount": False},
        # Dashboards are mounted, so no sidecar needs to read every ConfigMap and Secret.
        "rbac": {"create": False},
        "automountServiceAccountToken": False,
        "sidecar": {"dashboards": off, "datasources": off},
        "dashboardsConfigMaps": {FOLDER: CONFIG_MAP},
        "dashboardProviders": {
            "providers.yaml": {
                "apiVersion": 1,
                "providers": [
                    {"name": FOLDER, "type": "file", "options": {"path": f"/var/lib/grafana/dashboards/{FOLDER}"}}
                ],
            }
        },
        "datasources": {
            "datasources.yaml": {
                "apiVersion": 1,
                "datasources": [
                    {
                        "name": "Prometheus",
                        "uid": "prometheus",
                        "type": "prometheus",
                        "url": prometheus,
                        "isDefault": True,
                    }
                ],
            }
        },
        "env": {
            "GF_SECURITY_ADMIN_USER": "admin",
            # Grafana reads the file itself (configure-grafana, variable expansion); the image has no shell to do it.
            "GF_SECURITY_ADMIN_PASSWORD": f"$__file{{{SECRETS}/{GRAFANA_PASSWORD}}}",
        },
        "extraSecretMounts": [
            {
                "name": "secrets",
                "mountPath": SECRETS,
                "readOnly": True,
                "csi": {
                    "driver": "secrets-store.csi.k8s.io",
                    "readOnly": True,
                    "volumeAttributes": {"secretProviderClass": SERVICE_ACCOUNT},
                },
            }
        ],
        "grafana.ini": {
            "auth.anonymous": off,
            "users": {"allow_sign_up": False},
            "analytics": {"check_for_updates": False, "reporting_enabled": False},
        },
        "persistence": {"enabled": True, "storageClassName": disks, "size": "5Gi"},
        "deploymentStrategy": {"type": "Recreate"},  # two pods cannot hold one disk
        "initChownData": off,  # runs as root for what fsGroup does
        "testFramework": off,
        "resources": resources,
        **placement,
    }
