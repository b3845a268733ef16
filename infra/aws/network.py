"""The VPC: public, private, data and endpoint subnets in every zone, and the ways out of each."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws.logs import FlowLog
from infra.component import Component
from infra.settings import Settings
from infra.settings.platform import Zone


class Network(Component):
    """Subnets by purpose, with exactly the routes that the purpose needs.

    Produces: Vpc, DefaultSecurityGroup (closed), InternetGateway, Subnets (public, private, data, endpoints per zone),
    RouteTables, Eips and NatGateways (one, or one per zone), the S3 gateway endpoint, interface endpoints with their
    SecurityGroup, FlowLog. Data and endpoint subnets have no route to the internet.
    """

    vpc_id: pulumi.Output[str]
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: list[pulumi.Output[str]]
    data_subnet_ids: list[pulumi.Output[str]]
    endpoint_subnet_ids: list[pulumi.Output[str]]
    ways: list[pulumi.Resource]  # routes, gateways, endpoints: without them a node is mute, and cannot be drained

    def __init__(
        self, name: str, settings: Settings, logs_key: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, opts)
        self._name, self._settings = name, settings
        self.ways = []
        network = settings.network
        vpc = aws.ec2.Vpc(
            name,
            cidr_block=str(network.cidr),
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": settings.name},
            opts=self.child(protect=settings.protected),
        )
        self.vpc_id = vpc.id
        # Adopted and emptied: a resource that names no group of its own must reach nothing (CIS AWS 5.4).
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=vpc.id, opts=self.child())
        gateway = aws.ec2.InternetGateway(name, vpc_id=vpc.id, tags={"Name": settings.name}, opts=self.child())
        public_routes = self._route_table("public")
        self.ways.append(
            aws.ec2.Route(
                f"{name}-public-internet",
                route_table_id=public_routes.id,
                destination_cidr_block="0.0.0.0/0",
                gateway_id=gateway.id,
                opts=self.child(),
            )
        )
        closed_routes = self._route_table("closed")  # local traffic only: data and endpoint subnets
        public = {zone.name: self._subnet(zone, "public", public_routes) for zone in network.zones}
        self.public_subnet_ids = [subnet.id for subnet in public.values()]
        self.data_subnet_ids = [self._subnet(zone, "data", closed_routes).id for zone in network.zones]
        self.endpoint_subnet_ids = [self._subnet(zone, "endpoints", closed_routes).id for zone in network.zones]

        nats: dict[str, aws.ec2.NatGateway] = {}
        for zone in network.zones if network.nat_gateways == "perZone" else network.zones[:1]:
            address = aws.ec2.Eip(
                f"{name}-nat-{zone.name}", domain="vpc", tags=self._tags(f"nat-{zone.name}"), opts=self.child()
            )
            nats[zone.name] = aws.ec2.NatGateway(
                f"{name}-{zone.name}",
                allocation_id=address.id,
                subnet_id=public[zone.name].id,
                tags=self._tags(zone.name),
                opts=self.child(depends_on=[gateway]),
            )
        shared = next(iter(nats.values()))
        private_tables: list[pulumi.Output[str]] = []
        self.private_subnet_ids = []
        for zone in network.zones:
            table = self._route_table(f"private-{zone.name}")
            self.ways.append(
                aws.ec2.Route(
                    f"{name}-private-{zone.name}-internet",
                    route_table_id=table.id,
                    destination_cidr_block="0.0.0.0/0",
                    nat_gateway_id=nats.get(zone.name, shared).id,
                    opts=self.child(),
                )
            )
            private_tables.append(table.id)
            self.private_subnet_ids.append(self._subnet(zone, "private", table).id)

        # Free, and keeps image layers and backups off the NAT gateway's per-GB charge.
        self.ways.append(
            aws.ec2.VpcEndpoint(
                f"{name}-s3",
                vpc_id=vpc.id,
                service_name=f"com.amazonaws.{settings.region}.s3",
                vpc_endpoint_type="Gateway",
                route_table_ids=private_tables,
                tags=self._tags("s3"),
                opts=self.child(),
            )
        )
        self._interface_endpoints(self.endpoint_subnet_ids)
        FlowLog(
            f"{name}-flow",
            settings,
            vpc_id=vpc.id,
            key=logs_key,
            retention_days=network.flow_log_retention_days,
            opts=self.child(),
        )
        self.register_outputs({})

    def _tags(self, suffix: str) -> dict[str, str]:
        return {"Name": f"{self._settings.name}-{suffix}"}

    def _route_table(self, suffix: str) -> aws.ec2.RouteTable:
        return aws.ec2.RouteTable(
            f"{self._name}-{suffix}", vpc_id=self.vpc_id, tags=self._tags(suffix), opts=self.child()
        )

    def _subnet(self, zone: Zone, purpose: str, table: aws.ec2.RouteTable) -> aws.ec2.Subnet:
        # The tag by which Karpenter finds its subnets. The load balancer is told its own.
        discovery = {"karpenter.sh/discovery": self._settings.name} if purpose == "private" else {}
        label = f"{purpose}-{zone.name}"
        subnet = aws.ec2.Subnet(
            f"{self._name}-{label}",
            vpc_id=self.vpc_id,
            cidr_block=str(getattr(zone, purpose)),
            availability_zone=zone.name,
            map_public_ip_on_launch=False,  # only NAT gateways and load balancers have public addresses
            tags={**self._tags(label), **discovery},
            opts=self.child(),
        )
        self.ways.append(
            aws.ec2.RouteTableAssociation(
                f"{self._name}-{label}", subnet_id=subnet.id, route_table_id=table.id, opts=self.child()
            )
        )
        return subnet

    def _interface_endpoints(self, subnet_ids: list[pulumi.Output[str]]) -> None:
        settings, name = self._settings, self._name
        if not settings.network.interface_endpoints:
            return
        group = aws.ec2.SecurityGroup(
            f"{name}-endpoints",
            description="AWS APIs from inside the VPC",
            vpc_id=self.vpc_id,
            tags=self._tags("endpoints"),
            opts=self.child(),
        )
        rule = aws.vpc.SecurityGroupIngressRule(
            f"{name}-endpoints-https",
            security_group_id=group.id,
            cidr_ipv4=str(settings.network.cidr),
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            description="HTTPS from the VPC",
            opts=self.child(),
        )
        self.ways.append(rule)
        self.ways += [
            aws.ec2.VpcEndpoint(
                f"{name}-{service}",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{settings.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=subnet_ids,
                security_group_ids=[group.id],
                tags=self._tags(service),
                opts=self.child(),
            )
            for service in settings.network.interface_endpoints
        ]
