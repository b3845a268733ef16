"""The two golden scenarios, every quantity written out, at the prices they were computed with (golden_prices.csv).

They are fixtures of the estimator, not the shape of our own environments: no LCU, disks, keys, endpoints or stored logs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stacks.cost.facts import AWS
from stacks.cost.prices import Prices, parse
from stacks.cost.usage import Usage
from stacks.cost.usage import parse as usage_of
from stacks.graph import Graph, Options, Resource
from tests.resources import resource as made

PROVIDER = Options(provider=f"urn:pulumi:golden::langgraph-eks::{AWS}::aws")
TABLE = Path(__file__).with_name("golden_prices.csv")


def prices() -> Prices:
    return Prices(tuple(parse(TABLE.read_text(), TABLE.name)))


def resource(type_: str, name: str, **inputs: Any) -> Resource:
    """A resource of the stack's only AWS provider."""
    return made(type_, inputs, name, stack="golden", options=PROVIDER)


def graph(*resources: Resource, region: str = "us-east-1") -> Graph:
    return Graph("golden", True, (resource(AWS, "aws", region=region), *resources), {})


def node_group(name: str, kind: str, count: int, capacity: str) -> Resource:
    return resource(
        "aws:eks/nodeGroup:NodeGroup",
        name,
        instanceTypes=[kind],
        capacityType=capacity,
        scalingConfig={"minSize": count, "desiredSize": count, "maxSize": count},
        diskSize=0,  # the scenario counts no disks
    )


def database(class_: str, gib: int, *, multi_az: bool) -> Resource:
    return resource(
        "aws:rds/instance:Instance",
        "database",
        instanceClass=class_,
        engine="postgres",
        engineVersion="18",
        multiAz=multi_az,
        allocatedStorage=gib,
        storageType="gp3",
        engineLifecycleSupport="open-source-rds-extended-support-disabled",
    )


def cache(node: str, nodes: int) -> Resource:
    kind = "aws:elasticache/replicationGroup:ReplicationGroup"
    return resource(kind, "cache", nodeType=node, numCacheClusters=nodes, engine="valkey")


CLUSTER = resource("aws:eks/cluster:Cluster", "cluster", version="1.36", upgradePolicy={"supportType": "STANDARD"})
LOGS = resource("aws:cloudwatch/logGroup:LogGroup", "logs", retentionInDays=30)
VPC = resource("aws:ec2/vpc:Vpc", "network")


def gateways(count: int) -> list[Resource]:
    pairs = [("aws:ec2/natGateway:NatGateway", "nat"), ("aws:ec2/eip:Eip", "address")]
    return [resource(kind, f"{name}-{number}") for number in range(count) for kind, name in pairs]


def load_balancer(zones: int) -> Resource:
    subnets = [f"subnet-{number}" for number in range(zones)]
    return resource("aws:lb/loadBalancer:LoadBalancer", "alb", loadBalancerType="application", subnets=subnets)


def small_dev() -> tuple[Graph, Usage]:
    """Two Spot nodes at 62 % below on demand, one NAT gateway, a Single-AZ database, one Valkey node."""
    found = graph(
        CLUSTER,
        node_group("nodes", "t3.large", 2, "SPOT"),
        *gateways(1),
        load_balancer(2),
        database("db.t4g.medium", 20, multi_az=False),
        cache("cache.t4g.small", 1),
        LOGS,
    )
    logs = {"groups": {"logs": 10}, "storedShare": 0}
    return found, usage_of({"spot": {"discount": 0.62}, "logs": logs, "storage": {"managedSecrets": 0}}, "golden")


def small_prod() -> tuple[Graph, Usage]:
    """Three nodes on demand, three on Spot at 55 % below, three zones, Multi-AZ, 500 GB through each door."""
    found = graph(
        CLUSTER,
        node_group("base", "m6i.xlarge", 3, "ON_DEMAND"),
        node_group("spot", "m6i.xlarge", 3, "SPOT"),
        *gateways(3),
        load_balancer(3),
        database("db.m7g.large", 200, multi_az=True),
        cache("cache.m7g.large", 2),
        LOGS,
        VPC,
    )
    usage = {
        "spot": {"discount": 0.55},
        "traffic": {"natGb": 500, "crossZoneGb": 500, "internetGb": 500},
        "logs": {"groups": {"logs": 100}, "storedShare": 0},
        "storage": {"managedSecrets": 0},
    }
    return found, usage_of(usage, "golden")
