"""Who may do what in the service's namespace: verb by verb, no wildcard, no Secret, no way to give oneself more."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, Role, RoleBinding, RoleRefArgs, SubjectArgs

from infra.component import Component
from infra.settings import Settings


@dataclass(frozen=True)
class Grant:
    """Verbs on resources of one API group."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]


_READ = ("get", "list", "watch")
_SEEN = (
    Grant("", ("configmaps", "events", "pods", "services"), _READ),
    Grant("", ("pods/log",), ("get",)),
    Grant("apps", ("deployments", "replicasets"), _READ),
    Grant("autoscaling", ("horizontalpodautoscalers",), _READ),
    Grant("batch", ("jobs",), _READ),
    Grant("policy", ("poddisruptionbudgets",), _READ),
)
# `kubectl rollout restart`, `undo` and `pause` patch; `kubectl port-forward` creates. Replicas are the HPA's.
_ROLLS_OUT = (
    Grant("apps", ("deployments",), ("patch",)),
    Grant("", ("pods/portforward",), ("create",)),
)
# Argo's `promote`, `abort` and `undo` patch the Rollout and its status (argo-rollouts docs, kubectl plugin).
_CANARY_SEEN = (Grant("argoproj.io", ("analysisruns", "rollouts"), _READ),)
_CANARY_ROLLS_OUT = (Grant("argoproj.io", ("rollouts", "rollouts/status"), ("patch",)),)

# The group that an access entry puts people of a role in, by the Role that it is bound to.
GROUPS = {"viewer": "agents:viewers", "deployer": "agents:deployers"}


def grants(settings: Settings) -> dict[str, tuple[Grant, ...]]:
    """What each Role of the namespace allows."""
    seen = _SEEN + (_CANARY_SEEN if settings.canary else ())
    return {"viewer": seen, "deployer": seen + _ROLLS_OUT + (_CANARY_ROLLS_OUT if settings.canary else ())}


class NamespaceAccess(Component):
    """The Roles for people. The service's own account has none.

    Produces: Role and RoleBinding viewer, Role and RoleBinding deployer.
    """

    def __init__(
        self, name: str, settings: Settings, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, opts)
        for role, granted in grants(settings).items():
            metadata = ObjectMetaArgs(name=role, namespace=namespace)
            made = Role(
                f"{name}-{role}",
                metadata=metadata,
                rules=[
                    PolicyRuleArgs(api_groups=[row.group], resources=list(row.resources), verbs=list(row.verbs))
                    for row in granted
                ],
                opts=self.child(),
            )
            RoleBinding(
                f"{name}-{role}",
                metadata=metadata,
                role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=role),
                subjects=[SubjectArgs(api_group="rbac.authorization.k8s.io", kind="Group", name=GROUPS[role])],
                opts=self.child(depends_on=[made]),
            )
        self.register_outputs({})
