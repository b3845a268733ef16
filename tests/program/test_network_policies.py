"""The reachability matrix: every source, target and port of the design, by the captured network policies alone.

What is not listed as open must be shut. An independent evaluator judges the same questions in tests/cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from infra.kubernetes import flows
from stacks.graph import Graph
from tests import reachability
from tests.environments import graph_of, settings_of
from tests.reachability import POLICY, End, Host, Pod

NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
STACKS = ["dev", "prod"]


def ends(stack: str) -> dict[str, End]:
    """Who asks and who is asked. Addresses are of the shipped networks: 10.20.0.0/16 in dev, 10.40.0.0/16 in prod."""
    net = {"dev": "10.20", "prod": "10.40"}[stack]
    parts = ("api", "worker", "database-init", "migrate", "stranger")
    agents = {part: Pod("agent", {NAME: "agent", COMPONENT: part}) for part in parts}
    charts = ("prometheus", "alertmanager", "grafana", "prometheus-adapter", "opentelemetry-collector")
    return {
        **agents,
        **{name: Pod("monitoring", {NAME: name}) for name in charts},
        "pooler": Pod("agent", {NAME: "pgbouncer", COMPONENT: "pooler"}),
        "false prometheus": Pod("default", {NAME: "prometheus"}),
        "log shipper": Pod("host-agents", {NAME: "fluent-bit"}),
        "rollouts": Pod("argo-rollouts", {NAME: "argo-rollouts"}),
        "dns": Pod("kube-system", {"k8s-app": "kube-dns"}),
        "karpenter": Pod("kube-system", {NAME: "karpenter"}),
        "stores": Host(f"{net}.10.7/32"),
        "public subnet": Host(f"{net}.0.7/32"),
        "endpoint subnet": Host(f"{net}.20.7/32"),
        "node": Host(f"{net}.33.7/32"),
        "Kubernetes API": Host("172.20.0.1/32"),
        "another service": Host("172.20.0.9/32"),
        "instance metadata": Host("169.254.169.254/32"),
        "pod identity": Host("169.254.170.23/32"),
        "internet": Host("198.51.100.7/32"),  # documentation range (RFC 5737)
        "another network": Host("192.168.3.4/32"),
    }


PORTS = (22, 53, 80, 443, 2020, 4317, 4318, 5432, 6379, 6432, 6443, 8000, 8080, 8090, 9090, 9093, 9100, 9127, 9153, 10250)  # fmt: skip
MONITORING = ("prometheus", "alertmanager", "grafana", "prometheus-adapter", "opentelemetry-collector")
API_SERVER = (("Kubernetes API", 443), ("endpoint subnet", 443))

# What each source may open, beside DNS. Pods outside our namespaces may open anything that lets them in.
OPEN_IN_BOTH: dict[str, set[tuple[str, int]]] = {
    "api": {("stores", 5432), ("stores", 6379), ("internet", 443), ("pod identity", 80), ("opentelemetry-collector", 4318)},
    "database-init": {("stores", 5432), ("pod identity", 80)},
    "migrate": {("stores", 5432)},
    "stranger": set(),
    "prometheus": {
        *API_SERVER, ("api", 9090), ("worker", 9090), ("node", 10250), ("node", 9100), ("log shipper", 2020),
        ("dns", 9153), ("dns", 8080), ("karpenter", 8080), ("karpenter", 9153),
    },
    "alertmanager": {("internet", 443)},
    "grafana": {*API_SERVER},
    "prometheus-adapter": {*API_SERVER},
    "opentelemetry-collector": {("pod identity", 80)},
    "log shipper": {*API_SERVER, ("pod identity", 80)},
}  # fmt: skip
OPEN_IN: dict[str, dict[str, set[tuple[str, int]]]] = {
    # Without interface endpoints AWS is on the internet.
    "dev": {
        "database-init": {("internet", 443)},
        "opentelemetry-collector": {("internet", 443)},
        "log shipper": {("internet", 443)},
    },
    "prod": {
        "api": {("pooler", 6432), ("endpoint subnet", 443)},
        "database-init": {("endpoint subnet", 443)},
        "opentelemetry-collector": {("endpoint subnet", 443)},
        "log shipper": {("endpoint subnet", 443)},
        "pooler": {("stores", 5432)},
        "prometheus": {("pooler", 9127), ("rollouts", 8090)},
        "rollouts": {*API_SERVER, ("prometheus", 9090)},
    },
}


def expected(stack: str) -> set[tuple[str, str, int]]:
    """Every open way of the design."""
    everyone = ends(stack)
    rows = {source: set(ways) for source, ways in OPEN_IN_BOTH.items()}
    for source, ways in OPEN_IN[stack].items():
        rows.setdefault(source, set()).update(ways)
    rows["worker"] = rows["api"]
    for source in MONITORING:
        rows[source] |= set(product(MONITORING, PORTS))
    ways = {(source, target, port) for source, targets in rows.items() for target, port in targets}
    ways |= {
        (name, "dns", 53) for name, end in everyone.items() if isinstance(end, Pod) and end.namespace in guarded(stack)
    }
    balancer = "public subnet" if stack == "prod" else "endpoint subnet"
    ways |= {(balancer, "api", 8000)}
    ways |= {("endpoint subnet", "prometheus-adapter", port) for port in (10250, 6443)}  # the API server's webhooks
    return ways


def guarded(stack: str) -> set[str]:
    return {"agent", "monitoring", "host-agents"} | ({"argo-rollouts"} if stack == "prod" else set())


def asked(stack: str) -> Iterator[tuple[str, str, int]]:
    """Every question in which a pod of a guarded namespace is at one end at least."""
    everyone = ends(stack)
    for source, target, port in product(everyone, everyone, PORTS):
        inside = [
            isinstance(end, Pod) and end.namespace in guarded(stack) for end in (everyone[source], everyone[target])
        ]
        if source != target and any(inside):
            yield source, target, port


def open_ways(graph: Graph, stack: str) -> set[tuple[str, str, int]]:
    policies, everyone = reachability.NetworkPolicies.of(graph), ends(stack)
    return {
        (source, target, port)
        for source, target, port in asked(stack)
        if policies.allow(everyone[source], everyone[target], port)
    }


@pytest.mark.parametrize("stack", STACKS)
def test_what_is_open_is_what_the_design_opens_and_nothing_else(stack: str) -> None:
    wanted = {way for way in expected(stack) if way[0] != way[1]}
    found = open_ways(graph_of(stack, preview=False), stack)
    assert (sorted(found - wanted), sorted(wanted - found)) == ([], [])


def test_what_has_no_endpoint_among_others_that_have_is_asked_on_the_internet() -> None:
    graph = graph_of("prod", {"network.interfaceEndpoints": ["secretsmanager", "ecr.api"]}, preview=False)
    policies, everyone = reachability.NetworkPolicies.of(graph), ends("prod")
    sources = ("database-init", "opentelemetry-collector", "log shipper")
    ways = {
        (source, target): policies.allow(everyone[source], everyone[target], 443)
        for source, target in product(sources, ("endpoint subnet", "internet", "another network"))
    }
    inside = {(source, "endpoint subnet") for source in sources}
    outside = {("opentelemetry-collector", "internet"), ("log shipper", "internet")}
    assert {way for way, is_open in ways.items() if is_open} == inside | outside


@pytest.mark.parametrize("stack", STACKS)
def test_every_no_of_the_design_is_a_no(stack: str) -> None:
    policies, everyone = reachability.NetworkPolicies.of(graph_of(stack, preview=False)), ends(stack)
    shut = [
        ("api", "instance metadata", 80),  # the node's credentials
        ("worker", "instance metadata", 80),
        ("api", "Kubernetes API", 443),
        ("worker", "Kubernetes API", 443),
        ("database-init", "Kubernetes API", 443),
        ("worker", "node", 10250),
        ("worker", "another service", 443),
        ("worker", "another network", 443),
        ("api", "internet", 80),  # nothing in clear
        ("worker", "internet", 5432),
        ("migrate", "internet", 443),
        ("migrate", "pod identity", 80),
        ("migrate", "stores", 6379),
        ("stranger", "stores", 5432),
        ("stranger", "internet", 443),
        ("api", "worker", 8000),
        ("api", "pooler", 5432),
        ("pooler", "stores", 6379),
        ("pooler", "internet", 443),
        ("internet", "api", 8000),
        ("node", "api", 8000),
        ("stores", "api", 8000),
        ("public subnet", "api", 9090),
        ("public subnet", "worker", 8000),
        ("false prometheus", "api", 9090),
        ("grafana", "api", 9090),
        ("karpenter", "api", 8000),
        ("prometheus", "api", 8000),
        ("prometheus", "stores", 5432),
        ("prometheus", "internet", 443),
        ("grafana", "internet", 443),
        ("log shipper", "api", 8000),
        ("rollouts", "api", 8000),
        ("api", "opentelemetry-collector", 9090),
        ("api", "prometheus", 9090),
    ]
    guilty = [way for way in shut if policies.allow(everyone[way[0]], everyone[way[1]], way[2])]
    # In dev the rollout controller's and the pooler's namespaces are not there to guard them.
    assert [way for way in guilty if stack == "prod" or way[0] not in ("rollouts", "pooler")] == []


@pytest.mark.parametrize("stack", STACKS)
def test_each_namespace_denies_by_default_and_the_services_has_exactly_these_ways(stack: str) -> None:
    names: dict[str, set[str]] = {}
    for row in graph_of(stack).of_type(POLICY):
        metadata, spec = row.inputs["metadata"], row.inputs["spec"]
        names.setdefault(metadata["namespace"], set()).add(metadata["name"])
        if metadata["name"] == "default-deny":
            assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert set(names) == guarded(stack)
    assert all("default-deny" in here for here in names.values())
    ways = {"load-balancer-in", "scrape-in", "dns-out", "database-out", "cache-out", "internet-https-out", "aws-out"}
    pooled = {"pooler-out", "pooler-in", "pooler-database-out", "pooler-scrape-in"} if stack == "prod" else set[str]()
    assert names["agent"] == {"default-deny", "pod-identity-out", "traces-out", "webhooks-out"} | ways | pooled


@pytest.mark.parametrize("stack", STACKS)
def test_dns_is_asked_by_udp_and_by_tcp(stack: str) -> None:
    policies, everyone = reachability.NetworkPolicies.of(graph_of(stack, preview=False)), ends(stack)
    for name, end in everyone.items():
        if isinstance(end, Pod) and end.namespace in guarded(stack):
            assert policies.allow(end, everyone["dns"], 53, "UDP"), name
            assert policies.allow(end, everyone["dns"], 53, "TCP"), name


@pytest.mark.parametrize("stack", STACKS)
def test_no_policy_opens_more_ports_of_a_selector_than_the_cni_takes(stack: str) -> None:
    # 24 combinations of protocol and port (EKS user guide, considerations for network policies).
    for row in graph_of(stack).of_type(POLICY):
        rules = [*row.inputs["spec"].get("egress", []), *row.inputs["spec"].get("ingress", [])]
        assert sum(len(rule.get("ports", [])) for rule in rules) <= 24


@pytest.mark.parametrize("stack", STACKS)
def test_every_pod_of_ours_is_one_that_the_policies_know(stack: str) -> None:
    known = [(namespace, dict(labels)) for namespace, labels in flows.pods(settings_of(stack))]
    workloads = [row.inputs for row in graph_of(stack) if row.kind in ("Deployment", "Job", "CronJob", "Rollout")]
    assert workloads
    for inputs in workloads:
        job = inputs["spec"].get("jobTemplate", inputs)
        labels = job["spec"]["template"]["metadata"]["labels"]
        assert any(
            namespace == inputs["metadata"]["namespace"] and here.items() <= labels.items() for namespace, here in known
        ), inputs["metadata"]["name"]
