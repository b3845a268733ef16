"""The service's namespace: Pod Security restricted, and an account that can do nothing on the API."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as kubernetes

from infra.component import Component
from infra.settings import Settings

SERVICE_ACCOUNT = "agent"
_LEVEL = {"enforce": "restricted", "audit": "restricted", "warn": "restricted"}


class ServiceNamespace(Component):
    """Where the LangGraph service lives.

    Produces: Namespace, ServiceAccount (no token mounted, no Role).
    """

    name: pulumi.Output[str]
    service_account: kubernetes.core.v1.ServiceAccount

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        pod_security: dict[str, str] = {}
        for mode, level in _LEVEL.items():
            pod_security[f"pod-security.kubernetes.io/{mode}"] = level
            pod_security[f"pod-security.kubernetes.io/{mode}-version"] = f"v{settings.cluster.version}"
        namespace = kubernetes.core.v1.Namespace(
            name,
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=settings.service.namespace,
                labels={
                    "app.kubernetes.io/part-of": settings.tags.service,
                    # A pod is ready when the load balancer finds it healthy, so that a rollout waits for that.
                    "elbv2.k8s.aws/pod-readiness-gate-inject": "enabled",
                    **pod_security,
                },
            ),
            opts=self.child(),
        )
        self.name = namespace.metadata.apply(lambda metadata: metadata.name or "")
        self.service_account = kubernetes.core.v1.ServiceAccount(
            name,
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=SERVICE_ACCOUNT, namespace=self.name),
            automount_service_account_token=False,
            opts=self.child(),
        )
        self.register_outputs({})
