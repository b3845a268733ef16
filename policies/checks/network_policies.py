"""NetworkPolicies: what is closed, and whether they select anything."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from policies.check import Subject, check
from policies.properties import NotEvaluated, Properties
from policies.workload_parts import WORKLOADS, labels_of, name_of, namespace_of, selects
from stacks.graph import Resource

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
NAMESPACE = "kubernetes:core/v1:Namespace"
METADATA = ipaddress.ip_network("169.254.169.254/32")


@check(
    "policies-default-deny",
    "Every namespace of ours is closed both ways unless a policy opens it",
    severity="high",
    types=(NAMESPACE,),
    scope="stack",
    remedy="Add a NetworkPolicy with an empty podSelector and both policyTypes.",
    controls={"CIS EKS": ("4.3.2",), "NSA/CISA": ("C-0030", "C-0054"), "SOC 2": ("CC6.6",)},
    references=("CKV2_K8S_6",),
)
def default_deny(namespace: Subject) -> str | None:
    """A pod that no policy selects talks to everything, the internet included."""
    closed: set[str] = set()
    for policy in namespace.graph.of_type(POLICY):
        given = Properties(policy.inputs)
        everything = not given.part("spec.podSelector").content
        if namespace_of(policy) == name_of(namespace.resource) and everything:
            closed |= {t for t in given.texts("spec.policyTypes") if not list(given.parts(f"spec.{t.lower()}"))}
    missing = [direction for direction in ("Ingress", "Egress") if direction not in closed]
    return f"no policy closes {' and '.join(missing)}" if missing else None


def egress(policy: Resource) -> Iterator[Properties]:
    for rule in Properties(policy.inputs).parts("spec.egress"):
        yield from (peer.part("ipBlock") for peer in rule.parts("to") if peer.has("ipBlock"))


@check(
    "policies-no-metadata",
    "Pods do not reach the instance's metadata",
    severity="high",
    types=(POLICY,),
    subjects=egress,
    remedy="Put 169.254.169.254/32 into the block's except.",
    controls={"SOC 2": ("CC6.6",)},
)
def no_metadata(block: Subject) -> str | None:
    """It hands out the node's credentials."""
    cidr = ipaddress.ip_network(block.properties.text("cidr") or "0.0.0.0/32", strict=False)
    left_out = [ipaddress.ip_network(item, strict=False) for item in block.properties.texts("except")]
    inside = cidr.version == METADATA.version and METADATA.subnet_of(cidr)  # pyright: ignore[reportArgumentType] - versions were compared
    excepted = any(item.version == METADATA.version and METADATA.subnet_of(item) for item in left_out)  # pyright: ignore[reportArgumentType] - as above
    return f"cidr={cidr} holds 169.254.169.254" if inside and not excepted else None


@check(
    "policies-select-something",
    "Every policy selects pods that there are",
    severity="medium",
    types=(POLICY,),
    scope="stack",
    remedy="Correct spec.podSelector, or name a namespace whose pods charts make in `charts`.",
    controls={"SOC 2": ("CC6.6",)},
    references=("KL dangling-networkpolicy",),
    parameters={"charts": list[str]()},
)
def select_something(policy: Subject) -> str | None:
    """A policy with a typing mistake protects nothing and looks as if it did."""
    selector = policy.properties.part("spec.podSelector")
    namespace = namespace_of(policy.resource)
    if not selector.content:
        return None
    for workload in policy.graph:
        if (
            workload.type in WORKLOADS
            and namespace_of(workload) == namespace
            and selects(selector, labels_of(workload))
        ):
            return None
    if namespace in policy.parameters["charts"]:
        raise NotEvaluated("spec.podSelector", f"may select pods that charts make in {namespace}")
    return f"spec.podSelector selects no pod of {namespace}"
