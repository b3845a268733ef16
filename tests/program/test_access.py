"""Who may do what on the Kubernetes API, as a matrix computed from the captured Roles: granted equals needed."""

from __future__ import annotations

from itertools import product

import pytest

from stacks.graph import Graph
from tests.environments import graph_of

RBAC = "kubernetes:rbac.authorization.k8s.io/v1:"
PEOPLE = {
    "access.serviceViewers": ["arn:aws:iam::123456789012:role/agents-readers"],
    "access.serviceDeployers": ["arn:aws:iam::123456789012:role/agents-releasers"],
}
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "escalate", "bind")
SEE, NONE = {"get", "list", "watch"}, set[str]()
# What each person needs, resource by resource: viewer, deployer. What is not here is for nobody.
NEEDED: dict[str, tuple[set[str], set[str]]] = {
    "/pods": (SEE, SEE),
    "/pods/log": ({"get"}, {"get"}),
    "/pods/portforward": (NONE, {"create"}),
    "/events": (SEE, SEE),
    "/services": (SEE, SEE),
    "/configmaps": (SEE, SEE),
    "apps/deployments": (SEE, SEE | {"patch"}),
    "apps/replicasets": (SEE, SEE),
    "autoscaling/horizontalpodautoscalers": (SEE, SEE),
    "batch/jobs": (SEE, SEE),
    "policy/poddisruptionbudgets": (SEE, SEE),
}
NEEDED_WITH_CANARY = {
    "argoproj.io/rollouts": (SEE, SEE | {"patch"}),
    "argoproj.io/rollouts/status": (NONE, {"patch"}),
    "argoproj.io/analysisruns": (SEE, SEE),
}
FOR_NOBODY = (
    "/secrets", "/serviceaccounts", "/serviceaccounts/token", "/pods/exec", "/pods/attach", "/pods/ephemeralcontainers",
    "/resourcequotas", "/limitranges", "/namespaces", "/nodes", "apps/deployments/scale", "apps/daemonsets",
    "networking.k8s.io/networkpolicies", "rbac.authorization.k8s.io/roles", "rbac.authorization.k8s.io/rolebindings",
    "admissionregistration.k8s.io/validatingadmissionpolicies", "secrets-store.csi.x-k8s.io/secretproviderclasses",
)  # fmt: skip


def can(graph: Graph, group: str, verb: str, resource: str) -> bool:
    """Whether the bindings of the graph let a group use a verb on a resource of the service's namespace."""
    bound = {
        row.inputs["roleRef"]["name"]
        for row in graph.of_type(f"{RBAC}RoleBinding")
        if group in [subject["name"] for subject in row.inputs["subjects"]]
    }
    api_group, _, name = resource.partition("/")
    return any(
        api_group in rule["apiGroups"] and name in rule["resources"] and verb in rule["verbs"]
        for row in graph.of_type(f"{RBAC}Role")
        if row.inputs["metadata"]["name"] in bound
        for rule in row.inputs["rules"]
    )


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_what_people_of_the_service_may_do_is_what_they_need(stack: str) -> None:
    graph = graph_of(stack)
    needed = NEEDED | (NEEDED_WITH_CANARY if stack == "prod" else {})
    resources = (*NEEDED, *NEEDED_WITH_CANARY, *FOR_NOBODY)
    for column, group in enumerate(("agents:viewers", "agents:deployers")):
        granted = {(name, verb) for name, verb in product(resources, VERBS) if can(graph, group, verb, name)}
        assert granted == {(name, verb) for name, verbs in needed.items() for verb in verbs[column]}


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_no_rule_has_a_wildcard_and_every_rule_names_known_resources(stack: str) -> None:
    graph = graph_of(stack)
    rules = [rule for row in graph.of_type(f"{RBAC}Role") for rule in row.inputs["rules"]]
    assert rules
    for rule in rules:
        assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
        names = {f"{group}/{name}" for group, name in product(rule["apiGroups"], rule["resources"])}
        assert names <= {*NEEDED, *NEEDED_WITH_CANARY}
    # Nothing of ours is granted in the whole cluster; charts bring their own.
    assert not graph.of_type(f"{RBAC}ClusterRole")
    assert not graph.of_type(f"{RBAC}ClusterRoleBinding")


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_no_account_of_the_service_is_bound_to_anything_or_mounts_a_token(stack: str) -> None:
    graph = graph_of(stack)
    kinds = {s["kind"] for row in graph.of_type(f"{RBAC}RoleBinding") for s in row.inputs["subjects"]}
    assert kinds == {"Group"}
    accounts = graph.of_type("kubernetes:core/v1:ServiceAccount")
    assert accounts
    assert [row.inputs["automountServiceAccountToken"] for row in accounts] == [False] * len(accounts)


def test_access_entries_put_people_into_the_groups_that_the_roles_are_bound_to() -> None:
    entries = {
        row.inputs["principalArn"]: row.inputs["kubernetesGroups"]
        for row in graph_of("dev", PEOPLE).of_type("aws:eks/accessEntry:AccessEntry")
        if "kubernetesGroups" in row.inputs
    }
    assert entries == {
        "arn:aws:iam::123456789012:role/agents-readers": ["agents:viewers"],
        "arn:aws:iam::123456789012:role/agents-releasers": ["agents:deployers"],
    }
