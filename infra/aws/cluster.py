"""The EKS control plane, who may use its API, and the add-ons that must run before the first node."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.aws.add_ons import BEFORE_NODES, add_on
from infra.aws.identity import PodRole, assume_by_service
from infra.aws.keys import Keys
from infra.aws.logs import log_group
from infra.aws.network import Network
from infra.component import Component
from infra.kubernetes.rbac import GROUPS
from infra.settings import Settings

# docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
ADMIN = "AmazonEKSClusterAdminPolicy"
VIEW = "AmazonEKSViewPolicy"


class Cluster(Component):
    """The control plane, in API authentication mode: nobody is admin but the roles that settings.access names.

    Produces: LogGroup, Role with RolePolicyAttachment, Cluster, AccessEntry per role with its AccessPolicyAssociation
    (roles for the service's namespace alone have a group instead, that infra/kubernetes/rbac.py binds),
    the vpc-cni, kube-proxy and pod-identity Addons with the CNI's PodRole, Tag (the discovery tag on the cluster's
    own security group, the only group that carries it).
    """

    resource: aws.eks.Cluster
    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]
    access: list[pulumi.Resource]  # what must exist before, and go after, anything that talks to the API
    networking: list[pulumi.Resource]  # what must run before a node joins

    def __init__(
        self, name: str, settings: Settings, network: Network, keys: Keys, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, opts)
        cluster_settings = settings.cluster
        group = log_group(
            name,
            f"/aws/eks/{settings.name}/cluster",
            settings,
            keys.logs,
            cluster_settings.log_retention_days,
            self.child(),
        )
        role = aws.iam.Role(
            name,
            path=settings.role_path,
            assume_role_policy=json.dumps(assume_by_service("eks.amazonaws.com")),
            permissions_boundary=settings.account.permission_boundary_arn,
            opts=self.child(),
        )
        attached = aws.iam.RolePolicyAttachment(
            name, role=role.name, policy_arn="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy", opts=self.child()
        )
        cluster = aws.eks.Cluster(
            name,
            name=settings.name,
            version=cluster_settings.version,
            role_arn=role.arn,
            access_config=aws.eks.ClusterAccessConfigArgs(
                authentication_mode="API",
                # The creator would be an admin that no setting names and no review sees.
                bootstrap_cluster_creator_admin_permissions=False,
            ),
            bootstrap_self_managed_addons=False,
            deletion_protection=cluster_settings.deletion_protection and not settings.teardown,
            enabled_cluster_log_types=["api", "audit", "authenticator", "controllerManager", "scheduler"],
            encryption_config=aws.eks.ClusterEncryptionConfigArgs(
                provider=aws.eks.ClusterEncryptionConfigProviderArgs(key_arn=keys.cluster), resources=["secrets"]
            ),
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(
                support_type="STANDARD"  # the default, EXTENDED, costs $0.60 an hour when a version ages
            ),
            kubernetes_network_config=aws.eks.ClusterKubernetesNetworkConfigArgs(
                service_ipv4_cidr=str(settings.network.service_cidr)
            ),
            vpc_config=aws.eks.ClusterVpcConfigArgs(
                # Not where pods are: a network policy can then tell the API server's addresses from theirs.
                subnet_ids=network.endpoint_subnet_ids,
                endpoint_private_access=True,
                endpoint_public_access=cluster_settings.public_endpoint,
                public_access_cidrs=[str(block) for block in cluster_settings.public_access_cidrs]
                if cluster_settings.public_endpoint
                else None,
            ),
            zonal_shift_config=aws.eks.ClusterZonalShiftConfigArgs(enabled=True),
            opts=self.child(depends_on=[attached, group], protect=settings.protected),
        )
        self.resource = cluster
        self.name, self.arn, self.endpoint = cluster.name, cluster.arn, cluster.endpoint
        self.security_group_id = cluster.vpc_config.apply(lambda vpc: vpc.cluster_security_group_id or "")
        self.kubeconfig = _kubeconfig(cluster, settings)
        self.access = self._access(name, settings, cluster)
        discovery = aws.ec2.Tag(
            f"{name}-discovery",
            resource_id=self.security_group_id,
            key="karpenter.sh/discovery",
            value=settings.name,
            opts=self.child(),
        )
        # The CNI gets a role of its own, so that the node role, which every pod on the host network can use, needs none.
        network_role = PodRole(
            f"{name}-vpc-cni",
            settings,
            cluster.name,
            "kube-system",
            "aws-node",
            managed_policies=["AmazonEKS_CNI_Policy"],
            opts=self.child(),
        )
        self.networking = [
            discovery,
            *(
                add_on(name, row, cluster.name, self.child(depends_on=[network_role.association]))
                for row in BEFORE_NODES
            ),
        ]
        self.register_outputs({})

    def _access(self, name: str, settings: Settings, cluster: aws.eks.Cluster) -> list[pulumi.Resource]:
        granted: list[pulumi.Resource] = []
        roles = (
            *((arn, ADMIN) for arn in settings.access.deployers),
            *((arn, ADMIN) for arn in settings.access.admins),
            *((arn, ADMIN) for arn in settings.access.break_glass),
            *((arn, VIEW) for arn in settings.access.viewers),
        )
        for arn, policy in roles:
            label = f"{name}-{arn.rsplit('/', 1)[-1]}"
            granted.append(grant_access(label, cluster.name, arn, policy, self.child()))
        members = (
            *((arn, "deployer") for arn in settings.access.service_deployers),
            *((arn, "viewer") for arn in settings.access.service_viewers),
        )
        for arn, role in members:
            aws.eks.AccessEntry(
                f"{name}-{arn.rsplit('/', 1)[-1]}",
                cluster_name=cluster.name,
                principal_arn=arn,
                kubernetes_groups=[GROUPS[role]],
                opts=self.child(),
            )
        return granted


def grant_access(
    name: str,
    cluster_name: pulumi.Input[str],
    role_arn: pulumi.Input[str],
    policy: str,
    opts: pulumi.ResourceOptions,
) -> aws.eks.AccessPolicyAssociation:
    """Let a role use the Kubernetes API with one of EKS's cluster-wide access policies."""
    entry = aws.eks.AccessEntry(name, cluster_name=cluster_name, principal_arn=role_arn, opts=opts)
    return aws.eks.AccessPolicyAssociation(
        name,
        cluster_name=cluster_name,
        principal_arn=entry.principal_arn,
        policy_arn=f"arn:aws:eks::aws:cluster-access-policy/{policy}",
        access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
        opts=opts,
    )


def _kubeconfig(cluster: aws.eks.Cluster, settings: Settings) -> pulumi.Output[str]:
    """A kubeconfig that holds no credential: the token comes from `aws eks get-token` at the time of use."""
    return pulumi.Output.json_dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": settings.name,
                    "cluster": {
                        "server": cluster.endpoint,
                        "certificate-authority-data": cluster.certificate_authority.apply(lambda ca: ca.data or ""),
                    },
                }
            ],
            "contexts": [{"name": settings.name, "context": {"cluster": settings.name, "user": settings.name}}],
            "current-context": settings.name,
            "users": [
                {
                    "name": settings.name,
                    "user": {
                        "exec": {
                            "apiVersion": "client.authentication.k8s.io/v1beta1",
                            "command": "aws",
                            "args": ["eks", "get-token", "--cluster-name", settings.name, "--region", settings.region],
                        }
                    },
                }
            ],
        }
    )
