"""Who may open a connection to a data store: the cluster's pods and nodes, and nobody else."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws.cluster import Cluster
from infra.aws.network import Network


def store_security_group(
    name: str, store: str, port: int, network: Network, cluster: Cluster, opts: pulumi.ResourceOptions
) -> aws.ec2.SecurityGroup:
    """A security group with one rule, from the cluster's group to the store's port, and no way out."""
    group = aws.ec2.SecurityGroup(
        name, description=f"{store}, from pods and nodes only", vpc_id=network.vpc_id, opts=opts
    )
    aws.vpc.SecurityGroupIngressRule(
        name,
        security_group_id=group.id,
        referenced_security_group_id=cluster.security_group_id,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        description=f"{store} from the cluster",
        opts=opts,
    )
    return group
