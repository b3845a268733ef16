"""Who can reach whom, computed from routes, security groups and network policies of the captured graph."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

import pytest

from stacks.graph import Graph, Resource
from tests.environments import graph_of

SUBNET = "aws:ec2/subnet:Subnet"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
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
        """Whether a service pod's network policies let it call an address."""
        return any(
            row["port"] == port and any(_matches(peer, target) for peer in rule["to"])
            for policy in self._selecting_the_service()
            for rule in policy.get("egress", [])
            for row in rule["ports"]
        )

    def anyone_may_call_the_pod(self) -> bool:
        """Whether any policy opens an ingress."""
        return any(policy.get("ingress") for policy in self._selecting_the_service())

    def _selecting_the_service(self) -> list[dict[str, Any]]:
        labels = {"app.kubernetes.io/name": "agent"}
        specs = [row.inputs["spec"] for row in self.graph.of_type(POLICY)]
        assert any(spec["podSelector"] == {} and not spec.get("egress") for spec in specs), "no default deny"
        return [spec for spec in specs if spec["podSelector"] in ({}, {"matchLabels": labels})]


def _matches(peer: dict[str, Any], target: str) -> bool:
    block = peer.get("ipBlock")
    if block is None:
        return False
    address = IPv4Network(target)
    return address.subnet_of(IPv4Network(block["cidr"])) and not any(
        address.subnet_of(IPv4Network(hole)) for hole in block.get("except", [])
    )


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
        ("10.100.0.1/32", 443),  # the Kubernetes API
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
def test_the_internet_reaches_nothing_and_data_reaches_no_internet(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    way = Map(graph)
    assert way.default_route("data") == {"nowhere"}
    assert way.default_route("endpoints") == {"nowhere"}
    assert way.default_route("public") == {"igw"}  # where the load balancer will be, and nothing of ours is now
    assert not any(str(row.inputs.get("cidrIpv4", "")).endswith("/0") for row in graph.of_type(INGRESS))
    assert not way.anyone_may_call_the_pod()
    public = [row.id for row in graph.of_type(SUBNET) if "-public-" in row.name]
    placed = [
        row.type for row in graph if row.package == "aws" and any(str(row.inputs.get("subnetId")) == i for i in public)
    ]
    assert set(placed) == {"aws:ec2/natGateway:NatGateway", "aws:ec2/routeTableAssociation:RouteTableAssociation"}
