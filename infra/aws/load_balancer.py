"""The one way in: an application load balancer before the service's pods."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from app.contract import PORT, READY_PATH
from infra.aws.cluster import Cluster
from infra.aws.edge import Edge
from infra.aws.network import Network
from infra.aws.storage import PrivateBucket
from infra.component import Component
from infra.kubernetes.shutdown import PRE_STOP_SECONDS
from infra.settings import Settings

WORLD = "0.0.0.0/0"
# TLS 1.2 and 1.3 with forward secrecy only, and post-quantum key exchange for clients that have it: what AWS recommends
# (docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html, read 2026-11).
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
# Streams send a heartbeat every few seconds, but a request that waits for its run may be silent as long as the run may
# take (300 s). The service must keep idle connections longer than this, or the load balancer meets closed ones.
IDLE_SECONDS = 330


class LoadBalancer(Component):
    """Internet-facing with TLS and firewall before ``ingress.host``; without a host inside the VPC only, by HTTP.

    Produces: SecurityGroup with its SecurityGroupIngressRules and one SecurityGroupEgressRule, a
    SecurityGroupIngressRule of the cluster's group, LoadBalancer, TargetGroup (filled by the controller in the cluster),
    Listener http; with an edge also Listener https, WebAclAssociation and the host's alias Record.
    """

    url: pulumi.Output[str]
    arn_suffix: pulumi.Output[str]  # as CloudWatch names it
    target_group_arn: pulumi.Output[str]
    target_group_arn_suffix: pulumi.Output[str]
    ready: list[pulumi.Resource]  # what must be there before a target can become healthy

    def __init__(
        self,
        name: str,
        settings: Settings,
        network: Network,
        cluster: Cluster,
        logs: PrivateBucket,
        edge: Edge | None,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        self._name = name
        group = aws.ec2.SecurityGroup(
            name,
            description="Load balancer of the service",
            vpc_id=network.vpc_id,
            tags={"Name": f"{settings.name}-load-balancer"},
            opts=self.child(),
        )
        self._admit(group, [443, 80] if edge else [80], WORLD if edge else str(settings.network.cidr))
        balancer = aws.lb.LoadBalancer(
            name,
            load_balancer_type="application",
            internal=edge is None,
            ip_address_type="ipv4",
            # Not where pods live: policies tell the load balancer from pods by its subnets.
            subnets=network.public_subnet_ids if edge else network.endpoint_subnet_ids,
            security_groups=[group.id],
            idle_timeout=IDLE_SECONDS,
            drop_invalid_header_fields=True,
            desync_mitigation_mode="defensive",  # "strictest" also refuses what is only unusual
            enable_zonal_shift=True,  # as the cluster's; an application load balancer is always cross-zone
            enable_deletion_protection=settings.protected,
            access_logs=aws.lb.LoadBalancerAccessLogsArgs(bucket=logs.bucket_name, enabled=True),
            tags={"Name": settings.name},
            # AWS writes a test object at once, and gives no public address without a way to the internet. A target group
            # belongs to one load balancer: another one, inside or outside, is made when this one is gone.
            opts=self.child(depends_on=[logs.policy, *network.ways], delete_before_replace=True),
        )
        self.arn_suffix = balancer.arn_suffix
        targets = aws.lb.TargetGroup(
            name,
            vpc_id=network.vpc_id,
            target_type="ip",
            protocol="HTTP",
            port=PORT,
            # A pod that leaves has its preStop sleep and its drain for the requests it holds; then it is gone.
            deregistration_delay=PRE_STOP_SECONDS + settings.service.drain_seconds,
            # Runs take from milliseconds to minutes: round robin would pile them up. It excludes a slow start.
            load_balancing_algorithm_type="least_outstanding_requests",
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                path=READY_PATH, matcher="200", interval=10, timeout=5, healthy_threshold=2, unhealthy_threshold=2
            ),
            tags={"Name": settings.name},
            opts=self.child(),
        )
        self.target_group_arn, self.target_group_arn_suffix = targets.arn, targets.arn_suffix
        ways = self._join(group, cluster.security_group_id)
        self.ready = [*ways, *self._listen(balancer, targets, edge)]
        if edge is None:
            self.url = pulumi.Output.concat("http://", balancer.dns_name)
        else:
            self.url = pulumi.Output.from_input(f"https://{edge.host}")
            self._publish(balancer, edge)
        self.register_outputs({})

    def _admit(self, group: aws.ec2.SecurityGroup, ports: list[int], source: str) -> None:
        for port in ports:
            aws.vpc.SecurityGroupIngressRule(
                f"{self._name}-{port}",
                security_group_id=group.id,
                cidr_ipv4=source,
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                description="Requests",
                opts=self.child(),
            )

    def _join(self, group: aws.ec2.SecurityGroup, pods: pulumi.Output[str]) -> list[pulumi.Resource]:
        """One way, from the load balancer to the service's port: it cannot reach the metrics, nor anything else."""
        return [
            aws.vpc.SecurityGroupEgressRule(
                f"{self._name}-to-pods",
                security_group_id=group.id,
                referenced_security_group_id=pods,
                ip_protocol="tcp",
                from_port=PORT,
                to_port=PORT,
                description="Requests and health checks to the pods",
                opts=self.child(),
            ),
            aws.vpc.SecurityGroupIngressRule(
                f"{self._name}-pods",
                security_group_id=pods,
                referenced_security_group_id=group.id,
                ip_protocol="tcp",
                from_port=PORT,
                to_port=PORT,
                description="Requests and health checks from the load balancer",
                opts=self.child(),
            ),
        ]

    def _listen(
        self, balancer: aws.lb.LoadBalancer, targets: aws.lb.TargetGroup, edge: Edge | None
    ) -> list[pulumi.Resource]:
        forward = aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=targets.arn)
        to_tls = aws.lb.ListenerDefaultActionArgs(
            type="redirect",
            redirect=aws.lb.ListenerDefaultActionRedirectArgs(port="443", protocol="HTTPS", status_code="HTTP_301"),
        )
        listeners: list[pulumi.Resource] = [
            aws.lb.Listener(
                f"{self._name}-http",
                load_balancer_arn=balancer.arn,
                port=80,
                protocol="HTTP",
                default_actions=[to_tls if edge else forward],
                routing_http_response_server_enabled=False,
                opts=self.child(),
            )
        ]
        if edge:
            listeners.append(
                aws.lb.Listener(
                    f"{self._name}-https",
                    load_balancer_arn=balancer.arn,
                    port=443,
                    protocol="HTTPS",
                    ssl_policy=TLS_POLICY,
                    certificate_arn=edge.certificate_arn,
                    default_actions=[forward],
                    routing_http_response_server_enabled=False,
                    # A year; browsers then never try the port that only redirects.
                    routing_http_response_strict_transport_security_header_value="max-age=31536000",
                    opts=self.child(),
                )
            )
        return listeners

    def _publish(self, balancer: aws.lb.LoadBalancer, edge: Edge) -> None:
        """The firewall first: the name leads nowhere unguarded."""
        guard = aws.wafv2.WebAclAssociation(
            self._name, resource_arn=balancer.arn, web_acl_arn=edge.web_acl_arn, opts=self.child()
        )
        aws.route53.Record(
            self._name,
            zone_id=edge.zone_id,
            name=edge.host,
            type="A",
            aliases=[
                aws.route53.RecordAliasArgs(
                    name=balancer.dns_name, zone_id=balancer.zone_id, evaluate_target_health=True
                )
            ],
            opts=self.child(depends_on=[guard]),
        )
