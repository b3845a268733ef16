"""Gateways, public addresses, load balancers, endpoints, and the traffic through them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stacks.cost.facts import Billed
from stacks.cost.rules.use import Context, Rule, Use, bare, hourly, prefixed, unknown, used

SAID = "usage file"
FAMILIES = {"application": "Load Balancer-Application", "network": "Load Balancer-Network"}


def network(item: Billed, context: Context) -> Iterator[Use]:
    """Traffic belongs to the network as a whole: another gateway moves none of it."""
    traffic, region = context.usage.traffic, item.region
    yield from used("AmazonEC2", bare(region, "NatGateway-Bytes"), "GB", traffic.nat_gb, SAID)
    yield from used("AWSDataTransfer", bare(region, "DataTransfer-Out-Bytes"), "GB", traffic.internet_gb, SAID)
    both = f"{SAID}; billed where it leaves and where it arrives"
    crossing = traffic.cross_zone_gb * 2
    yield from used("AWSDataTransfer", bare(region, "DataTransfer-Regional-Bytes"), "GB", crossing, both)
    away = f"{prefixed(region, prefixed('us-west-2', 'AWS-Out-Bytes'))}"
    yield from used("AWSDataTransfer", away, "GB", traffic.other_region_gb, SAID)
    yield from used("AmazonVPC", prefixed(region, "VpcEndpoint-Bytes"), "GB", traffic.endpoint_gb, SAID)


def nat_gateway(item: Billed, _: Context) -> Iterator[Use]:
    yield hourly("AmazonEC2", bare(item.region, "NatGateway-Hours"))


def address(item: Billed, _: Context) -> Iterator[Use]:
    yield hourly("AmazonVPC", prefixed(item.region, "PublicIPv4:InUseAddress"))


def load_balancer(item: Billed, context: Context) -> Iterator[Use]:
    kind = FAMILIES.get(str(item.facts.get("type")))
    if kind is None:
        yield unknown("AWSELB", "LoadBalancerUsage", "Hrs", f"load balancer of type {item.facts.get('type')}")
        return
    family = f"productFamily={kind}"
    yield hourly("AWSELB", bare(item.region, "LoadBalancerUsage"), family)
    zones = int(item.facts.get("zones") or 0)
    if not item.facts.get("internal") and zones:
        one_each = f"one public address in each of {zones} zones"
        yield hourly("AmazonVPC", prefixed(item.region, "PublicIPv4:InUseAddress"), count=zones, assumption=one_each)
    units = context.usage.traffic.load_balancer_units * 730
    yield from used("AWSELB", bare(item.region, "LCUUsage"), "LCU-Hrs", units, SAID, family)


def endpoint(item: Billed, _: Context) -> Iterator[Use]:
    """Gateway endpoints cost nothing; an interface endpoint is billed in each of its zones."""
    if item.facts.get("type") == "Gateway":
        return
    zones = int(item.facts.get("zones") or 0)
    yield hourly(
        "AmazonVPC", prefixed(item.region, "VpcEndpoint-Hours"), count=zones, assumption=f"in each of {zones} zones"
    )


RULES: Mapping[str, Rule] = {
    "aws:ec2/vpc:Vpc": network,
    "aws:ec2/natGateway:NatGateway": nat_gateway,
    "aws:ec2/eip:Eip": address,
    "aws:lb/loadBalancer:LoadBalancer": load_balancer,
    "aws:ec2/vpcEndpoint:VpcEndpoint": endpoint,
}
