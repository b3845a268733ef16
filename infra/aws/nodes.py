"""The system node group: small, on demand, tainted, for everything that must not run on Spot."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.aws.add_ons import AFTER_NODES, SYSTEM_LABELS, SYSTEM_TAINT, add_on, on_system_nodes
from infra.aws.cluster import Cluster
from infra.aws.identity import PodRole, assume_by_service
from infra.aws.keys import Keys
from infra.aws.network import Network
from infra.aws.registry import pull_statements
from infra.component import Component
from infra.settings import Settings
from infra.versions import NODE_RELEASE

# docs.aws.amazon.com/eks/latest/userguide/create-node-role.html; the CNI policy is not here: the CNI has a role.
NODE_POLICIES = (
    "AmazonEKSWorkerNodePolicy",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonSSMManagedInstanceCore",
)


def node_role(
    name: str, settings: Settings, opts: pulumi.ResourceOptions
) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
    """The role of an EC2 node and its policies, which must exist before an instance starts."""
    role = aws.iam.Role(
        name,
        path=settings.role_path,
        assume_role_policy=json.dumps(assume_by_service("ec2.amazonaws.com")),
        permissions_boundary=settings.account.permission_boundary_arn,
        opts=opts,
    )
    policies: list[pulumi.Resource] = [
        aws.iam.RolePolicyAttachment(
            f"{name}-{policy}", role=role.name, policy_arn=f"arn:aws:iam::aws:policy/{policy}", opts=opts
        )
        for policy in NODE_POLICIES
    ]
    if settings.registry.pull_through:
        pull = {"Version": "2012-10-17", "Statement": pull_statements(settings)}
        policies.append(aws.iam.RolePolicy(f"{name}-pull", role=role.name, policy=json.dumps(pull), opts=opts))
    return role, policies


class SystemNodes(Component):
    """On-demand nodes for controllers, add-ons and monitoring.

    Produces: Role with RolePolicyAttachments, LaunchTemplate, NodeGroup, the Addons that need a node, the EBS driver's PodRole.
    """

    group: aws.eks.NodeGroup
    ready: list[pulumi.Resource]  # the group and every add-on

    def __init__(
        self,
        name: str,
        settings: Settings,
        cluster: Cluster,
        network: Network,
        keys: Keys,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        nodes = settings.nodes.system
        role, attachments = node_role(name, settings, self.child())
        template = aws.ec2.LaunchTemplate(
            name,
            update_default_version=True,
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                http_put_response_hop_limit=1,  # a container on the pod network cannot reach the node's credentials
            ),
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name="/dev/xvda",
                    ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        volume_size=nodes.disk_gib,
                        volume_type="gp3",
                        encrypted="true",
                        kms_key_id=keys.nodes,
                        delete_on_termination="true",
                    ),
                )
            ],
            # The provider's default tags stop at the template: instances and volumes are tagged here.
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=node_tags(settings, "system"))
                for kind in ("instance", "volume")
            ],
            opts=self.child(),
        )
        self.group = aws.eks.NodeGroup(
            name,
            cluster_name=cluster.name,
            node_role_arn=role.arn,
            subnet_ids=network.private_subnet_ids,
            capacity_type="ON_DEMAND",
            instance_types=list(nodes.instance_types),
            ami_type="AL2023_x86_64_STANDARD",
            version=settings.cluster.version,
            release_version=NODE_RELEASE.version,
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=nodes.min_size, desired_size=nodes.desired_size, max_size=nodes.max_size
            ),
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            labels=SYSTEM_LABELS,
            taints=[aws.eks.NodeGroupTaintArgs(key=SYSTEM_TAINT, value="true", effect="NO_SCHEDULE")],
            update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable_percentage=33),
            node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True),
            opts=self.child(
                depends_on=[*attachments, *network.ways, *cluster.networking, *cluster.access],
                # A person who scaled up in an incident is not undone; with off hours, nor is the night.
                ignore_changes=[
                    "scalingConfig.desiredSize",
                    *(["scalingConfig.minSize"] if settings.off_hours else []),
                ],
            ),
        )
        ebs_role = PodRole(
            f"{name}-ebs-csi",
            settings,
            cluster.name,
            "kube-system",
            "ebs-csi-controller-sa",
            managed_policies=["service-role/AmazonEBSCSIDriverPolicy"],
            opts=self.child(),
        )
        self.ready = [
            self.group,
            *(
                add_on(name, row, cluster.name, self.child(depends_on=[self.group, ebs_role.association]))
                for row in (map(on_system_nodes, AFTER_NODES) if settings.off_hours else AFTER_NODES)
            ),
        ]
        self.register_outputs({})


def node_tags(settings: Settings, pool: str) -> dict[str, str]:
    """Tags of instances and volumes, for the bill."""
    return {
        "Name": f"{settings.name}-{pool}",
        "environment": settings.environment,
        "owner": settings.tags.owner,
        "service": settings.tags.service,
        "cost-center": settings.tags.cost_center,
    }
