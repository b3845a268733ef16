"""RBAC: who may do what in the cluster."""

from __future__ import annotations

from collections.abc import Iterator

from policies.check import Subject, check
from policies.properties import Properties
from stacks.graph import Resource

ROLES = ("kubernetes:rbac.authorization.k8s.io/v1:Role", "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole")
BINDINGS = (
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding",
)
READ = {"get", "list", "watch", "*"}


def rules(role: Resource) -> Iterator[Properties]:
    yield from Properties(role.inputs).parts("rules")


@check(
    "rbac-no-cluster-admin",
    "Nobody is bound to cluster-admin",
    severity="critical",
    types=BINDINGS,
    remedy="Bind a role of exact verbs; administrators come by access entries.",
    controls={"CIS EKS": ("4.1.1",), "NSA/CISA": ("C-0035",), "SOC 2": ("CC6.3",)},
)
def no_cluster_admin(binding: Subject) -> str | None:
    """A workload with it is the cluster."""
    return "roleRef.name is cluster-admin" if binding.properties.text("roleRef.name") == "cluster-admin" else None


@check(
    "rbac-no-wildcards",
    "Roles name their verbs and resources",
    severity="high",
    types=ROLES,
    subjects=rules,
    remedy="List them.",
    controls={"CIS EKS": ("4.1.3",), "SOC 2": ("CC6.3",)},
    references=("CKV_K8S_49",),
)
def no_wildcards(rule: Subject) -> str | None:
    """A star grows with every operator that is installed later."""
    found = [key for key in ("verbs", "resources", "apiGroups") if "*" in rule.properties.texts(key)]
    return f"* in {', '.join(found)}" if found else None


@check(
    "rbac-no-secrets-read",
    "Roles do not read all secrets",
    severity="high",
    types=ROLES,
    subjects=rules,
    remedy="Name them in resourceNames, or mount them by the CSI driver.",
    controls={"CIS EKS": ("4.1.2",), "SOC 2": ("CC6.3",)},
    references=("CKV2_K8S_5",),
)
def no_secrets_read(rule: Subject) -> str | None:
    """list gives the contents too."""
    reads = READ.intersection(rule.properties.texts("verbs"))
    everything = {"secrets", "*"}.intersection(rule.properties.texts("resources"))
    named = rule.properties.texts("resourceNames")
    return "it reads secrets" if reads and everything and not named else None


@check(
    "rbac-no-escalation",
    "Roles do not give out rights that they lack",
    severity="critical",
    types=ROLES,
    subjects=rules,
    remedy="Remove bind, escalate and impersonate.",
    controls={"CIS EKS": ("4.1.8",), "SOC 2": ("CC6.3",)},
    references=("CKV_K8S_157", "CKV_K8S_158"),
)
def no_escalation(rule: Subject) -> str | None:
    """Each of the three verbs is cluster-admin in two steps."""
    found = {"bind", "escalate", "impersonate"}.intersection(rule.properties.texts("verbs"))
    return f"verbs holds {', '.join(sorted(found))}" if found else None


@check(
    "rbac-no-side-doors",
    "Roles do not run commands in pods, reach kubelets, change webhooks or make tokens",
    severity="high",
    types=ROLES,
    subjects=rules,
    remedy="Remove the resource; people get it by an access entry for an hour.",
    controls={"CIS EKS": ("4.1.10", "4.1.11", "4.1.12"), "NSA/CISA": ("C-0002",), "SOC 2": ("CC6.3",)},
    references=("CKV2_K8S_2",),
)
def no_side_doors(rule: Subject) -> str | None:
    """They act as somebody else, past the audit log's name."""
    doors = {
        "pods/exec",
        "nodes/proxy",
        "serviceaccounts/token",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
    }
    writes = set(rule.properties.texts("verbs")) - {"get", "list", "watch"}
    found = doors.intersection(rule.properties.texts("resources"))
    return f"{', '.join(sorted(found))}" if found and (writes or "nodes/proxy" in found) else None
