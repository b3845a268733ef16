"""Namespaces and how much a pod in them may ask of its node (Pod Security Standards)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.component import Component
from infra.kubernetes.labels import HOST_AGENTS, MONITORING, ROLLOUTS
from infra.settings import Settings

SERVICE_ACCOUNT, DATABASE_INIT, MIGRATE, PGBOUNCER = "agent", "database-init", "migrate", "pgbouncer"

Level = Literal["privileged", "baseline", "restricted"]
# What is enforced. Warnings and the audit log are always about `restricted`.
LEVELS: Mapping[str, Level] = {
    # Grafana's and the operator's pods come from a chart whose output no test of ours has seen whole.
    MONITORING: "baseline",
    HOST_AGENTS: "privileged",
    ROLLOUTS: "restricted",
}
NEEDS_THE_HOST = (
    "node-exporter reads the node's /proc and /sys in its network and process namespaces; the log shipper reads "
    "containers' logs below /var/log. Nothing else belongs here."
)


class ServiceNamespace(Component):
    """Where the LangGraph service lives: Pod Security restricted, and accounts that can do nothing on the API.

    Produces: Namespace; a ServiceAccount of the service, of each Job and of the pooler (no token mounted, no Role).
    """

    name: pulumi.Output[str]

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        namespace = kubernetes.core.v1.Namespace(
            name,
            metadata=ObjectMetaArgs(
                name=settings.service.namespace,
                labels={
                    "app.kubernetes.io/part-of": settings.tags.service,
                    # A pod is ready when the load balancer finds it healthy, so that a rollout waits for that.
                    "elbv2.k8s.aws/pod-readiness-gate-inject": "enabled",
                    **pod_security("restricted", settings),
                },
            ),
            opts=self.child(),
        )
        self.name = namespace.metadata.apply(lambda metadata: metadata.name or "")
        jobs = [DATABASE_INIT, MIGRATE]
        for account in [SERVICE_ACCOUNT, *jobs, *([PGBOUNCER] if settings.database.pooler else [])]:
            kubernetes.core.v1.ServiceAccount(
                name if account == SERVICE_ACCOUNT else f"{name}-{account}",
                metadata=ObjectMetaArgs(name=account, namespace=self.name),
                automount_service_account_token=False,
                opts=self.child(),
            )
        self.register_outputs({})


class PlatformNamespaces(Component):
    """Where the platform's own workloads live, kube-system apart.

    Produces: Namespace monitoring, Namespace host-agents, and argo-rollouts in prod.
    """

    names: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        self.names = {}
        for namespace in platform_namespaces(settings):
            level = LEVELS[namespace]
            made = kubernetes.core.v1.Namespace(
                f"{name}-{namespace}",
                metadata=ObjectMetaArgs(
                    name=namespace,
                    labels={"app.kubernetes.io/part-of": settings.tags.service, **pod_security(level, settings)},
                    annotations={"kubernetes.io/description": NEEDS_THE_HOST} if level == "privileged" else None,
                ),
                opts=self.child(),
            )
            self.names[namespace] = made.metadata.apply(lambda metadata: metadata.name or "")
        self.register_outputs({})


def platform_namespaces(settings: Settings) -> list[str]:
    """The namespaces of an environment beside the service's."""
    return [MONITORING, HOST_AGENTS, *([ROLLOUTS] if settings.canary else [])]


def pod_security(level: Level, settings: Settings) -> dict[str, str]:
    """The labels that make the API server hold pods to a level, as the cluster's version defines it."""
    modes = {"enforce": level, "audit": "restricted", "warn": "restricted"}
    version = f"v{settings.cluster.version}"
    return {
        f"pod-security.kubernetes.io/{mode}{suffix}": value
        for mode, wanted in modes.items()
        for suffix, value in (("", wanted), ("-version", version))
    }
