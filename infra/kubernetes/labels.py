"""Labels by which objects find each other: workloads, their network policies, disruption budgets and monitors."""

from __future__ import annotations

from typing import Final

NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"

SERVICE_NAME = "agent"
SERVICE_LABELS = {NAME: SERVICE_NAME}  # everything that runs our image
API_LABELS = {**SERVICE_LABELS, COMPONENT: "api"}
WORKER_LABELS = {**SERVICE_LABELS, COMPONENT: "worker"}
DATABASE_INIT_LABELS = {**SERVICE_LABELS, COMPONENT: "database-init"}
MIGRATE_LABELS = {**SERVICE_LABELS, COMPONENT: "migrate"}
ROLLOUT_HASH = "rollouts-pod-template-hash"  # Argo's, by which canary and stable pods differ; a Deployment's have none
OFF_HOURS_LABELS = {NAME: "off-hours", COMPONENT: "job"}
PGBOUNCER_LABELS = {NAME: "pgbouncer", COMPONENT: "pooler"}

# The two workloads of a release, as settings and objects name them.
API: Final = "api"
WORKERS: Final = "workers"
LABELS_OF = {API: API_LABELS, WORKERS: WORKER_LABELS}

# Namespaces beside the service's. Agents that need the host have one of their own, so that no other may use it.
MONITORING, HOST_AGENTS, ROLLOUTS = "monitoring", "host-agents", "argo-rollouts"
PROMETHEUS_LABELS = {NAME: "prometheus"}
COLLECTOR_LABELS = {NAME: "opentelemetry-collector"}
