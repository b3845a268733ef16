"""Who can reach whom, computed from routes, security groups and network policies of the captured graph."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

import pytest

from app import contract
from infra.kubernetes.labels import API_LABELS
from stacks.graph import Graph, Resource
from tests.environments import graph_of
from tests.reachability import Host, NetworkPolicies, Pod

SUBNET = "aws:ec2/subnet:Subnet"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
API = Pod("agent", API_LABELS)
INTERNET = "198.51.100.7/32"  # documentation range (RFC 5737)


@dataclass(frozen=True)
class Map:
    """The graph's answers to routing questions."""

    graph: Graph

    def default_route(self, purpose: str) -> set[str]:
        """Where packets for the internet go from subnets of a purpose: igw, nat, or nowhere."""
        ways = {
            row.inputs["routeTableId"]: "igw" if row.inputs.get("gatewayId") else "nat"
            for row in self.graph.of_type("aws:ec2/route:Route")
            if row.inputs["destinationCidrBlock"] == "0.0.0.0/0"
        }
        tables = {
            row.inputs["subnetId"]: row.inputs["routeTableId"]
            for row in self.graph.of_type("aws:ec2/routeTableAssociation:RouteTableAssociation")
        }
        return {ways.get(tables[row.id], "nowhere") for row in self.graph.of_type(SUBNET) if f"-{purpose}-" in row.name}

    def admitted(self, group: str, port: int) -> set[str]:
        """Sources that a security group of a logical name lets in on a port: cidrs and group ids."""
        groups = [row.id for row in self.graph.of_type("aws:ec2/securityGroup:SecurityGroup") if row.name == group]
        return {
            str(row.inputs.get("cidrIpv4") or row.inputs.get("referencedSecurityGroupId"))
            for row in self.graph.of_type(INGRESS)
            if row.inputs["securityGroupId"] in groups and row.inputs["fromPort"] <= port <= row.inputs["toPort"]
        }

    def pod_may_call(self, target: str, port: int) -> bool:
        """Whether an API pod's network policies let it call an address."""
        return NetworkPolicies.of(self.graph).allow(API, Host(target), port)

    def may_call_the_pod(self, source: str, port: int) -> bool:
        """Whether an API pod's network policies let an address in on a port."""
        return NetworkPolicies.of(self.graph).allow(Host(source), API, port)

    def load_balancer(self) -> tuple[set[str], list[str], list[str]]:
        """The addresses of the load balancer's subnets, its security groups, and the ports it listens on."""
        balancer = self.graph.one("aws:lb/loadBalancer:LoadBalancer")
        subnets = [row for row in self.graph.of_type(SUBNET) if row.id in balancer.inputs["subnets"]]
        assert len(subnets) == len(balancer.inputs["subnets"])
        hosts = {f"{IPv4Network(row.inputs['cidrBlock'])[10]}/32" for row in subnets}
        ports = sorted(str(row.inputs["port"]) for row in self.graph.of_type("aws:lb/listener:Listener"))
        return hosts, balancer.inputs["securityGroups"], ports


def host_in(graph: Graph, purpose: str) -> str:
    subnet: Resource = next(row for row in graph.of_type(SUBNET) if f"-{purpose}-" in row.name)
    return f"{IPv4Network(subnet.inputs['cidrBlock'])[10]}/32"


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_pods_reach_their_stores_and_the_internet_by_https_and_nothing_else(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    way, data = Map(graph), host_in(graph, "data")
    cluster_group = graph.one("aws:eks/cluster:Cluster").outputs["vpcConfig"]["clusterSecurityGroupId"]
    for group, port in (("database", 5432), ("cache", 6379)):
        assert way.pod_may_call(data, port)
        assert way.admitted(group, port) == {cluster_group}
    assert way.pod_may_call(INTERNET, 443)
    assert way.default_route("private") == {"nat"}
    refused = [
        (INTERNET, 80),
        (INTERNET, 5432),
        (data, 22),
        (host_in(graph, "private"), 443),  # other pods and nodes
        ("169.254.169.254/32", 80),  # instance metadata
        ("172.20.0.1/32", 443),  # the Kubernetes API
    ]
    assert [way.pod_may_call(address, port) for address, port in refused] == [False] * len(refused)


def test_pods_of_prod_reach_aws_endpoints_inside_the_vpc() -> None:
    graph = graph_of("prod", preview=False)
    way = Map(graph)
    assert way.pod_may_call(host_in(graph, "endpoints"), 443)
    assert way.admitted("network-endpoints", 443) == {"10.40.0.0/16"}
    services = {
        row.inputs["serviceName"].rsplit(".", 1)[-1] for row in graph.of_type("aws:ec2/vpcEndpoint:VpcEndpoint")
    }
    assert {"s3", "secretsmanager", "eks-auth", "sts", "sqs"} <= services


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_internet_reaches_the_load_balancer_of_prod_only_and_data_reaches_no_internet(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    way = Map(graph)
    assert way.default_route("data") == {"nowhere"}
    assert way.default_route("endpoints") == {"nowhere"}
    assert way.default_route("public") == {"igw"}
    opened = {
        (row.inputs["securityGroupId"], row.inputs["fromPort"], row.inputs["toPort"])
        for row in graph.of_type(INGRESS)
        if str(row.inputs.get("cidrIpv4", "")).endswith("/0")
    }
    _, [group], ports = way.load_balancer()
    assert opened == ({(group, 443, 443), (group, 80, 80)} if stack == "prod" else set())
    assert ports == (["443", "80"] if stack == "prod" else ["80"])
    assert not way.may_call_the_pod(INTERNET, 8000)
    public = [row.id for row in graph.of_type(SUBNET) if "-public-" in row.name]
    placed = [
        row.type
        for row in graph
        if row.package == "aws" and {row.inputs.get("subnetId"), *row.inputs.get("subnets", [])} & set(public)
    ]
    expected = {"aws:ec2/natGateway:NatGateway", "aws:ec2/routeTableAssociation:RouteTableAssociation"}
    assert set(placed) == (expected | {"aws:lb/loadBalancer:LoadBalancer"} if stack == "prod" else expected)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_load_balancer_reaches_the_pods_on_the_services_port_and_nothing_else(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    way = Map(graph)
    hosts, [group], _ = way.load_balancer()
    pods = graph.one("aws:eks/cluster:Cluster").outputs["vpcConfig"]["clusterSecurityGroupId"]
    out = [row.inputs for row in graph.of_type(EGRESS) if row.inputs["securityGroupId"] == group]
    assert [(row["referencedSecurityGroupId"], row["fromPort"], row["toPort"]) for row in out] == [
        (pods, contract.PORT, contract.PORT)
    ]
    into = [row.inputs for row in graph.of_type(INGRESS) if row.inputs["securityGroupId"] == pods]
    assert [(row["referencedSecurityGroupId"], row["fromPort"], row["toPort"]) for row in into] == [
        (group, contract.PORT, contract.PORT)
    ]
    assert graph.one("aws:lb/targetGroup:TargetGroup").inputs["port"] == contract.PORT
    for host in hosts:
        assert way.may_call_the_pod(host, contract.PORT)
        assert not way.may_call_the_pod(host, contract.METRICS_PORT)
    for purpose in ("private", "data"):  # where pods, nodes and stores are
        assert not way.may_call_the_pod(host_in(graph, purpose), contract.PORT)
