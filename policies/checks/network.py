"""The VPC: who reaches what, where nodes leave it, and what is recorded of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from policies.check import Subject, check
from policies.links import is_public, linking
from policies.properties import Properties
from stacks.graph import Resource

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
NAT = "aws:ec2/natGateway:NatGateway"
WORLD = ("0.0.0.0/0", "::/0")
WEB = (80, 443)


def rules(resource: Resource) -> Iterator[Properties]:
    """Rules of their own, and those written into a group."""
    properties = Properties(resource.inputs)
    if resource.type == GROUP:
        yield from properties.parts("ingress")
    else:
        yield properties


def from_world(rule: Properties) -> bool:
    ranges = [*rule.texts("cidrBlocks"), *rule.texts("ipv6CidrBlocks"), rule.text("cidrIpv4"), rule.text("cidrIpv6")]
    return any(cidr in WORLD for cidr in ranges)


@check(
    "network-flow-logs",
    "The VPC's traffic is recorded",
    severity="medium",
    types=(VPC,),
    scope="stack",
    remedy="Add an aws.ec2.FlowLog for the VPC with traffic type ALL.",
    controls={"AWS FSBP": ("EC2.6",), "SOC 2": ("CC7.2",)},
    references=("CKV2_AWS_11", "AWS-0178"),
)
def flow_logs(vpc: Subject) -> str | None:
    """After an intrusion the flow log is what says where data went."""
    logs = list(linking(vpc.graph, vpc.resource, "aws:ec2/flowLog:FlowLog", "vpcId"))
    if not any(Properties(log.inputs).text("trafficType") == "ALL" for log in logs):
        return "no flow log records ALL its traffic"
    return None


@check(
    "network-default-group-closed",
    "The default security group lets nothing through",
    severity="medium",
    types=(VPC,),
    scope="stack",
    remedy="Adopt it with aws.ec2.DefaultSecurityGroup without rules.",
    controls={"AWS FSBP": ("EC2.2",), "SOC 2": ("CC6.6",)},
    references=("CKV2_AWS_12", "AWS-0173"),
)
def default_group_closed(vpc: Subject) -> str | None:
    """What is made without a group gets the default one, in which everything talks to everything."""
    groups = list(linking(vpc.graph, vpc.resource, "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "vpcId"))
    if not groups:
        return "the default security group is not adopted"
    return "it has rules" if any(group.inputs.get(key) for group in groups for key in ("ingress", "egress")) else None


@check(
    "network-no-world-ingress",
    "The world reaches ports 80 and 443 only",
    severity="critical",
    types=(INGRESS, GROUP),
    subjects=rules,
    remedy="Name the CIDRs or the security group that may connect.",
    controls={"AWS FSBP": ("EC2.18", "EC2.19"), "SOC 2": ("CC6.6",)},
    references=("CKV_AWS_24", "CKV_AWS_25", "AWS-0107"),
)
def no_world_ingress(rule: Subject) -> str | None:
    """SSH, PostgreSQL, Valkey, Prometheus and Grafana on the internet are found within the hour."""
    if not from_world(rule.properties):
        return None
    first, last = rule.properties.number("fromPort"), rule.properties.number("toPort")
    if rule.properties.text("ipProtocol" if rule.properties.has("ipProtocol") else "protocol") == "-1" or first is None:
        return "all ports are open to the world"
    if first == last:
        return None if first in WEB else f"port {first:g} is open to the world"
    return f"ports {first:g}-{last or first:g} are open to the world"


@check(
    "network-data-egress",
    "The data stores' groups let nothing out",
    severity="medium",
    types=(EGRESS, GROUP),
    scope="stack",
    subjects=lambda r: Properties(r.inputs).parts("egress") if r.type == GROUP else [Properties(r.inputs)],
    remedy="Remove the egress rule: a data store answers, it does not call.",
    controls={"SOC 2": ("CC6.6", "CC6.7")},
    references=("CKV_AWS_382", "AWS-0104"),
)
def data_egress(rule: Subject) -> str | None:
    """A database that may call out is a way for what it holds to leave."""
    groups = rule.resource.property_dependencies.get("securityGroupId", (rule.resource.urn,))
    stores = {
        urn
        for type_, key in (
            ("aws:rds/instance:Instance", "vpcSecurityGroupIds"),
            ("aws:elasticache/replicationGroup:ReplicationGroup", "securityGroupIds"),
        )
        for store in rule.graph.of_type(type_)
        for urn in store.property_dependencies.get(key, ())
    }
    return "it is an egress rule of a data store's group" if stores.intersection(groups) else None


@check(
    "network-no-auto-public-address",
    "No subnet gives out public addresses by itself",
    severity="medium",
    types=(SUBNET,),
    remedy="Leave mapPublicIpOnLaunch false.",
    controls={"AWS FSBP": ("EC2.15",), "SOC 2": ("CC6.6",)},
    references=("CKV_AWS_130", "AWS-0164"),
)
def no_auto_public_address(subnet: Subject) -> str | None:
    """What is started there by mistake is on the internet at once."""
    return "mapPublicIpOnLaunch is true" if subnet.properties.flag("mapPublicIpOnLaunch") else None


@check(
    "network-endpoints",
    "AWS's own services are reached inside the VPC",
    severity="medium",
    types=(VPC,),
    scope="stack",
    remedy="Add the missing VPC endpoints, or list what your environment needs in `services`.",
    controls={"AWS FSBP": ("EC2.55", "EC2.56"), "SOC 2": ("CC6.7",)},
    parameters={"services": ["s3", "ecr.api", "ecr.dkr", "sts", "logs", "secretsmanager"]},
)
def endpoints(vpc: Subject) -> str | None:
    """Images, logs and secrets would go through NAT: 0.045 dollars a GB, and away when NAT is."""
    names = [Properties(endpoint.inputs).text("serviceName") or "" for endpoint in vpc.graph.of_type(ENDPOINT)]
    missing = [service for service in vpc.parameters["services"] if not any(n.endswith(f".{service}") for n in names)]
    return f"no endpoint for {', '.join(missing)}" if missing else None


@check(
    "network-nat-per-zone",
    "Each zone leaves by a NAT gateway of its own",
    severity="medium",
    types=(VPC,),
    scope="stack",
    remedy="Set network.natGateways to one for each zone.",
    controls={"SOC 2": ("A1.2",)},
)
def nat_per_zone(vpc: Subject) -> str | None:
    """With one gateway the loss of its zone takes the model provider away from all zones."""
    private = [subnet for subnet in vpc.graph.of_type(SUBNET) if not is_public(vpc.graph, subnet)]
    zones = {Properties(subnet.inputs).text("availabilityZone") for subnet in private}
    gateways = len(vpc.graph.of_type(NAT))
    return None if gateways >= len(zones) else f"{gateways} NAT gateways for {len(zones)} zones"


@check(
    "network-pod-addresses",
    "The private subnets have an address for every pod that nodes may hold",
    severity="high",
    types=("kubernetes:karpenter.k8s.aws/v1:EC2NodeClass",),
    scope="stack",
    remedy="Widen network.cidr's private subnets or lower the pools' limits.",
    controls={"SOC 2": ("A1.2",)},
)
def pod_addresses(node_class: Subject) -> str | None:
    """A subnet without addresses leaves pods pending while nodes stand empty; subnets cannot be widened later."""
    graph = node_class.graph
    groups = graph.of_type("aws:eks/nodeGroup:NodeGroup")
    pods = node_class.properties.number("spec.kubelet.maxPods")
    if pods is None:
        return "spec.kubelet.maxPods is not set"
    nodes = sum(
        Properties(pool.inputs).number("spec.limits.nodes") or 0
        for pool in graph.of_type("kubernetes:karpenter.sh/v1:NodePool")
    ) + sum(Properties(group.inputs).number("scalingConfig.maxSize") or 0 for group in groups)
    used = {urn for group in groups for urn in group.property_dependencies.get("subnetIds", ())}
    addresses = sum(
        # AWS keeps five addresses of each subnet (vpc/latest/userguide/subnet-sizing.html).
        ipaddress.ip_network(Properties(subnet.inputs).text("cidrBlock") or "0.0.0.0/32").num_addresses - 5
        for subnet in graph.of_type(SUBNET)
        if subnet.urn in used
    )
    return None if addresses >= nodes * pods else f"{addresses} addresses for {nodes:g} nodes of {pods:g} pods"
