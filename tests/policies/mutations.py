"""A mistake for each mandatory check, made where people make it: in the settings or in a component."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.autoscaling.v2 import HorizontalPodAutoscaler
from pulumi_kubernetes.core.v1 import LimitRange, Namespace
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, Role, RoleBinding

from infra.aws.network import Network
from infra.aws.storage import BucketKind, PrivateBucket
from infra.kubernetes.autoscaling import Scaling
from infra.settings import Settings
from infra.settings.service import Vertical
from tests.policies.mutating import Mutation, Of

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
WORLD = "0.0.0.0/0"
OIDC = "token.actions.githubusercontent.com"
PUBLIC_ROUTES = Of("aws:ec2/routeTable:RouteTable", "network-public", "id")
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers[0]"
PARAMETERS = "parameters[0].value"


def document(**statement: Any) -> str:
    """A policy of one statement."""
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def trust(**statement: Any) -> str:
    return document(Action="sts:AssumeRole", **statement)


def repository(name: str, **flaw: Any) -> Callable[[Settings, pulumi.ResourceOptions], object]:
    """A registry beside the account's own, right but for one argument."""
    right: dict[str, Any] = {
        "image_tag_mutability": "IMMUTABLE",
        "image_scanning_configuration": {"scan_on_push": True},
        "encryption_configurations": [{"encryption_type": "KMS", "kms_key": KEY}],
    }

    def made(_settings: Settings, opts: pulumi.ResourceOptions) -> aws.ecr.Repository:
        return aws.ecr.Repository(name, **(right | flaw), opts=opts)

    return made


def bucket_without_logs(settings: Settings, opts: pulumi.ResourceOptions) -> None:
    PrivateBucket("extra", settings, BucketKind("extra", keep_old_versions_days=30), KEY, opts)


CLUSTER = (
    Mutation(
        "eks-endpoint-restricted", aws.eks.Cluster, "vpc_config.public_access_cidrs", [WORLD],
        setting={"cluster.publicAccessCidrs": [WORLD]},
    ),
    Mutation("eks-endpoint-private", aws.eks.Cluster, "vpc_config.endpoint_private_access", value=False),
    Mutation(
        "eks-version-supported", aws.eks.Cluster, "version", "1.29", setting={"cluster.version": "1.29"},
    ),
    Mutation("eks-support-type", aws.eks.Cluster, "upgrade_policy.support_type", "EXTENDED"),
    Mutation("eks-secrets-encrypted", aws.eks.Cluster, "encryption_config", None),
    Mutation("eks-control-plane-logs", aws.eks.Cluster, "enabled_cluster_log_types", ["api"]),
    Mutation("eks-access-entries", aws.eks.Cluster, "access_config.authentication_mode", "API_AND_CONFIG_MAP"),
    Mutation(
        "eks-deletion-protection", aws.eks.Cluster, "deletion_protection", value=False,
        setting={"cluster.deletionProtection": False},
    ),
    Mutation(
        "eks-private-subnets", aws.ec2.RouteTableAssociation, "route_table_id", PUBLIC_ROUTES,
        name="network-endpoints-us-east-1a",
    ),
    Mutation("eks-add-ons-managed", aws.eks.Addon, "addon_name", "other", name="system-nodes-coredns"),
    Mutation("eks-add-on-pinned", aws.eks.Addon, "addon_version", None, name="system-nodes-coredns"),
    Mutation("eks-network-policy-engine", aws.eks.Addon, "configuration_values", "{}", name="cluster-vpc-cni"),
    Mutation(
        "eks-pod-identity", aws.eks.PodIdentityAssociation, "role_arn",
        Of("aws:iam/role:Role", "cluster-vpc-cni", "arn"), name="workloads-service",
    ),
    Mutation("eks-zonal-shift", aws.eks.Cluster, "zonal_shift_config.enabled", value=False),
    Mutation(
        "eks-admins-are-roles", aws.eks.AccessPolicyAssociation, "principal_arn", f"arn:aws:iam::{ACCOUNT}:user/ada",
        name="cluster-agents-break-glass", setting={"access.breakGlass": [f"arn:aws:iam::{ACCOUNT}:user/ada"]},
    ),
)  # fmt: skip

NODES = (
    Mutation("nodes-imdsv2", aws.ec2.LaunchTemplate, "metadata_options.http_tokens", "optional"),
    Mutation("nodes-hop-limit", aws.ec2.LaunchTemplate, "metadata_options.http_put_response_hop_limit", 2),
    Mutation("nodes-disk-encrypted", aws.ec2.LaunchTemplate, "block_device_mappings[0].ebs.encrypted", "false"),
    Mutation("nodes-disk-gp3", aws.ec2.LaunchTemplate, "block_device_mappings[0].ebs.volume_type", "gp2"),
    Mutation(
        "nodes-no-public-address", aws.ec2.LaunchTemplate, "network_interfaces",
        [aws.ec2.LaunchTemplateNetworkInterfaceArgs(associate_public_ip_address="true")],
    ),
    Mutation(
        "nodes-no-ssh", aws.eks.NodeGroup, "remote_access", aws.eks.NodeGroupRemoteAccessArgs(ec2_ssh_key="ops")
    ),
    Mutation("nodes-ami", aws.eks.NodeGroup, "ami_type", "AL2_x86_64"),
    Mutation(
        "nodes-ami-pinned", CustomResource, "spec.amiSelectorTerms[0].alias", "al2023@latest", name="pools-class"
    ),
    Mutation(
        "nodes-spot-diverse", CustomResource, f"{POD}.requirements[2].values", ["m7i.2xlarge"], name="pools-spot",
        setting={"nodes.workers.instanceTypes": ["m7i.2xlarge", "m6i.2xlarge"]},
    ),
    Mutation("nodes-on-demand-base", aws.eks.NodeGroup, "scaling_config.min_size", 1),
    Mutation("nodes-scaling-bounds", aws.eks.NodeGroup, "scaling_config.max_size", 50),
    Mutation("nodes-pool-bounded", CustomResource, "spec.limits", {}, name="pools-spot", also=("scaling-fits-nodes",)),
    Mutation("nodes-pool-disruption", CustomResource, f"{POD}.expireAfter", "Never", name="pools-spot"),
    Mutation("nodes-base-not-burstable", setting={"nodes.system.instanceTypes": ["t3.xlarge"]}),
    Mutation(
        "nodes-role-minimal", aws.iam.RolePolicyAttachment, "policy_arn",
        "arn:aws:iam::aws:policy/AmazonS3FullAccess", name="system-nodes-AmazonEKSWorkerNodePolicy",
    ),
    Mutation(
        "nodes-spot-grace", Deployment, f"{POD}.termination_grace_period_seconds", 600, name="agent-workers",
        setting={"service.drainSeconds": 600},
    ),
)  # fmt: skip

NETWORK = (
    Mutation("network-flow-logs", aws.ec2.FlowLog, "traffic_type", "REJECT"),
    Mutation(
        "network-default-group-closed", aws.ec2.DefaultSecurityGroup, "egress",
        [aws.ec2.DefaultSecurityGroupEgressArgs(protocol="-1", from_port=0, to_port=0, cidr_blocks=[WORLD])],
    ),
    Mutation(
        "network-no-world-ingress", aws.vpc.SecurityGroupIngressRule, "cidr_ipv4", WORLD, name="cache",
    ),
    Mutation(
        "network-data-egress", aws.vpc.SecurityGroupEgressRule, "security_group_id",
        Of("aws:ec2/securityGroup:SecurityGroup", "database", "id"),
    ),
    Mutation(
        "network-no-auto-public-address", aws.ec2.Subnet, "map_public_ip_on_launch", value=True,
        name="network-private-us-east-1a",
    ),
    Mutation(
        "network-endpoints",
        setting={"network.interfaceEndpoints": ["ecr.api", "ecr.dkr", "sts", "secretsmanager"]},
    ),
    Mutation(
        "network-nat-per-zone", Network, "settings.network.nat_gateways", "one",
        setting={"network.natGateways": "one"},
    ),
    Mutation(
        "network-pod-addresses", CustomResource, "spec.kubelet.maxPods", 5000, name="pools-class",
        setting={"nodes.workers.maxNodes": 500},
    ),
    Mutation(
        "load-balancer-tls", aws.lb.Listener, "ssl_policy", "ELBSecurityPolicy-2016-08", name="load-balancer-https"
    ),
    Mutation("load-balancer-drops-bad-headers", aws.lb.LoadBalancer, "drop_invalid_header_fields", value=False),
    Mutation("load-balancer-access-logs", aws.lb.LoadBalancer, "access_logs.enabled", value=False),
    Mutation("load-balancer-deletion-protection", aws.lb.LoadBalancer, "enable_deletion_protection", value=False),
    Mutation(
        "load-balancer-firewall", aws.wafv2.WebAclAssociation, "resource_arn",
        f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/app/another/0123456789abcdef",
    ),
)  # fmt: skip

DATABASE = (
    Mutation("rds-not-public", aws.rds.Instance, "publicly_accessible", value=True),
    Mutation("rds-encrypted", aws.rds.Instance, "storage_encrypted", value=False),
    Mutation("rds-multi-az", aws.rds.Instance, "multi_az", value=False, setting={"database.multiAz": False}),
    Mutation("rds-backups", setting={"database.backupRetentionDays": 1}),
    Mutation(
        "rds-deletion-protection", aws.rds.Instance, "deletion_protection", value=False,
        setting={"database.deletionProtection": False},
    ),
    Mutation("rds-force-ssl", aws.rds.ParameterGroup, PARAMETERS, "0"),
    Mutation("rds-minor-upgrades", aws.rds.Instance, "auto_minor_version_upgrade", value=False),
    Mutation("rds-enhanced-monitoring", aws.rds.Instance, "monitoring_interval", 0),
    Mutation("rds-insights", aws.rds.Instance, "performance_insights_enabled", value=False),
    Mutation("rds-log-exports", aws.rds.Instance, "enabled_cloudwatch_logs_exports", ["upgrade"]),
    Mutation("rds-iam-authentication", aws.rds.Instance, "iam_database_authentication_enabled", value=False),
    Mutation("rds-managed-password", aws.rds.Instance, "manage_master_user_password", value=False),
    Mutation("rds-tagged-snapshots", aws.rds.Instance, "copy_tags_to_snapshot", value=False),
    Mutation("rds-version-supported", aws.rds.Instance, "engine_version", "13"),
    Mutation(
        "rds-storage-grows", aws.rds.Instance, "max_allocated_storage", None, setting={"database.maxStorageGib": 400}
    ),
    Mutation("rds-modern-authority", aws.rds.Instance, "ca_cert_identifier", "rds-ca-2019"),
    Mutation(
        "rds-private-subnets", aws.ec2.RouteTableAssociation, "route_table_id", PUBLIC_ROUTES,
        name="network-data-us-east-1a",
    ),
    Mutation(
        "rds-ingress-from-groups", aws.vpc.SecurityGroupIngressRule, "cidr_ipv4", "10.0.0.0/8", name="database"
    ),
    Mutation("rds-backup-plan", aws.backup.Selection, "resources", [], setting={"backup.enabled": False}),
    Mutation("database-class-allowed", aws.rds.Instance, "instance_class", "db.m4.large"),
)  # fmt: skip

CACHE = (
    Mutation("cache-encrypted-at-rest", aws.elasticache.ReplicationGroup, "at_rest_encryption_enabled", value=False),
    Mutation("cache-encrypted-in-transit", aws.elasticache.ReplicationGroup, "transit_encryption_mode", "preferred"),
    Mutation("cache-sign-in", aws.elasticache.ReplicationGroup, "user_group_ids", None),
    Mutation(
        "cache-failover", aws.elasticache.ReplicationGroup, "multi_az_enabled", value=False, name="cache",
        setting={"cache.multiAz": False},
    ),
    Mutation("cache-snapshots", setting={"cache.snapshotRetentionDays": 0}),
    Mutation("cache-minor-upgrades", aws.elasticache.ReplicationGroup, "auto_minor_version_upgrade", value=False),
    Mutation("cache-own-subnets", aws.elasticache.ReplicationGroup, "subnet_group_name", None),
    Mutation("cache-version-supported", aws.elasticache.ReplicationGroup, "engine_version", "5.0"),
    Mutation("cache-eviction-fits", aws.elasticache.ParameterGroup, PARAMETERS, "volatile-lru", name="cache"),
)  # fmt: skip

STORES = (
    Mutation(
        "bucket-not-public", aws.s3.BucketPublicAccessBlock, "block_public_acls", value=False, name="storage-artefacts"
    ),
    Mutation(
        "bucket-encrypted", aws.s3.BucketServerSideEncryptionConfiguration,
        "rules[0].apply_server_side_encryption_by_default.sse_algorithm", "AES256", name="storage-artefacts",
    ),
    Mutation("bucket-tls-only", aws.s3.BucketPolicy, "policy", '{"Statement": []}', name="storage-artefacts"),
    Mutation(
        "bucket-versioned", aws.s3.BucketVersioning, "versioning_configuration.status", "Suspended",
        name="storage-artefacts",
    ),
    Mutation("bucket-lifecycle", aws.s3.BucketLifecycleConfiguration, "rules", [], name="storage-artefacts"),
    # Those of the stack are waived; the next one would not be.
    Mutation("bucket-access-logs", added=bucket_without_logs),
    Mutation("bucket-not-emptied", aws.s3.Bucket, "force_destroy", value=True, name="storage-artefacts"),
    Mutation("key-rotates", aws.kms.Key, "enable_key_rotation", value=False, name="keys-data"),
    Mutation(
        "key-policy-closed", aws.kms.Key, "policy", document(Principal="*", Action="kms:*", Resource="*"),
        name="keys-data",
    ),
    Mutation("key-deletion-window", aws.kms.Key, "deletion_window_in_days", 7, name="keys-data"),
    Mutation("key-one-region", aws.kms.Key, "multi_region", value=True, name="keys-data"),
    Mutation("secret-encrypted", aws.secretsmanager.Secret, "kms_key_id", None, name="secrets-jwt-signing-key"),
    Mutation(
        "secret-recoverable", aws.secretsmanager.Secret, "recovery_window_in_days", 0, name="secrets-jwt-signing-key"
    ),
    Mutation(
        "secret-no-value-in-state",
        added=lambda _, opts: aws.secretsmanager.SecretVersion("x", secret_id="x", secret_string="x", opts=opts),
    ),
    Mutation(
        "secret-not-in-configuration", Deployment, f"{CONTAINER}.env[0].name", "DATABASE_PASSWORD",
        name="agent-workers", setting={"service.environment": {"DATABASE_PASSWORD": "x"}},
    ),
    Mutation("registry-immutable", added=repository("mutable", image_tag_mutability="MUTABLE")),
    Mutation(
        "registry-lifecycle", aws.ecr.RepositoryCreationTemplate, "lifecycle_policy", None, name="registry-quay.io"
    ),
    Mutation("registry-scans", added=repository("unscanned", image_scanning_configuration={"scan_on_push": False})),
    Mutation("registry-encrypted", added=repository("plain", encryption_configurations=None)),
    Mutation("logs-retention", setting={"cluster.logRetentionDays": 1}),
    Mutation("logs-encrypted", aws.cloudwatch.LogGroup, "kms_key_id", None, name="pod-logs"),
    Mutation("messages-encrypted", aws.sqs.Queue, "sqs_managed_sse_enabled", value=False),
    Mutation("stateful-protected", aws.s3.Bucket, "opts.protect", value=False, name="storage-artefacts"),
)  # fmt: skip

GRANTED = "workloads-service-service"
IDENTITY = (
    Mutation(
        "iam-no-full-rights", aws.iam.RolePolicy, "policy", document(Action="*", Resource="*"), name=GRANTED,
        also=("iam-pass-role-scoped", "iam-decrypt-scoped"),
    ),
    Mutation(
        "iam-no-service-wildcards", aws.iam.RolePolicy, "policy",
        document(Action="s3:*", Resource="arn:aws:s3:::agents/*"), name=GRANTED,
    ),
    Mutation(
        "iam-pass-role-scoped", aws.iam.RolePolicy, "policy", document(Action="iam:PassRole", Resource="*"),
        name=GRANTED,
    ),
    Mutation(
        "iam-decrypt-scoped", aws.iam.RolePolicy, "policy", document(Action="kms:Decrypt", Resource="*"), name=GRANTED
    ),
    Mutation("iam-no-users", added=lambda _, opts: aws.iam.User("ada", opts=opts)),
    Mutation(
        "iam-no-administrator", aws.iam.RolePolicyAttachment, "policy_arn",
        "arn:aws:iam::aws:policy/AdministratorAccess", name="cluster",
    ),
    Mutation(
        "iam-pod-trust-exact", aws.iam.Role, "assume_role_policy",
        trust(Principal={"Service": "pods.eks.amazonaws.com"}), name="workloads-service",
    ),
    Mutation(
        "iam-pipeline-trust-exact",
        added=lambda _, opts: aws.iam.Role(
            "pipeline",
            assume_role_policy=trust(
                Principal={"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{OIDC}"},
                Condition={"StringLike": {f"{OIDC}:sub": "repo:ours/*"}},
            ),
            opts=opts,
        ),
    ),
    Mutation("iam-trust-named", aws.iam.Role, "assume_role_policy", trust(Principal={"AWS": "*"}), name="cluster"),
)  # fmt: skip

ACCOUNT_WIDE = (
    Mutation("tags-required", setting={"tags.owner": ""}),
    Mutation("account-named", aws.Provider, "allowed_account_ids", None, name="aws"),
    Mutation("region-allowed", aws.Provider, "region", "eu-north-1", name="aws", also=("copies-stay-in-region",)),
    Mutation("region-of-resource-allowed", aws.sqs.Queue, "region", "eu-north-1"),
    Mutation("copies-stay-in-region", setting={"backup.copyRegion": "eu-north-1"}, also=("region-allowed",)),
    Mutation("budget-alerts", aws.budgets.Budget, "notifications", []),
    Mutation("no-idle-addresses", added=lambda _, opts: aws.ec2.Eip("idle", opts=opts)),
)

PODS = (
    Mutation("pods-namespace-guarded", Namespace, "metadata.labels", {}, name="agent"),
    Mutation("pods-no-host-access", Deployment, f"{POD}.host_network", value=True, name="agent-workers"),
    Mutation(
        "pods-not-privileged", Deployment, f"{CONTAINER}.security_context.privileged", value=True, name="agent-workers"
    ),
    Mutation(
        "pods-no-escalation", Deployment, f"{CONTAINER}.security_context.allow_privilege_escalation", value=True,
        name="agent-workers",
    ),
    Mutation("pods-not-root", Deployment, f"{POD}.security_context.run_as_user", 0, name="agent-workers"),
    Mutation(
        "pods-no-capabilities", Deployment, f"{CONTAINER}.security_context.capabilities", None, name="agent-workers"
    ),
    Mutation("pods-seccomp", Deployment, f"{POD}.security_context.seccomp_profile", None, name="agent-workers"),
    Mutation(
        "pods-read-only-files", Deployment, f"{CONTAINER}.security_context.read_only_root_filesystem", value=False,
        name="agent-workers",
    ),
    Mutation("pods-resources", Deployment, f"{CONTAINER}.resources.limits", {"cpu": "2"}, name="agent-workers"),
    Mutation("pods-probes", Deployment, f"{CONTAINER}.readiness_probe", None, name="agent-workers"),
    Mutation(
        "pods-image-pinned", Deployment, f"{CONTAINER}.image", "docker.io/library/python:latest", name="agent-workers",
        setting={"service.image": "docker.io/library/python:latest"},
    ),
    Mutation("pods-own-account", Deployment, f"{POD}.service_account_name", "default", name="agent-workers"),
    Mutation(
        "pods-not-in-default", Deployment, "metadata.namespace", "default", name="agent-workers",
        also=("scaling-target-exists", "replicas-two", "policies-select-something"),
    ),
    Mutation("pods-priority", Deployment, f"{POD}.priority_class_name", None, name="agent-workers"),
    Mutation("replicas-spread", Deployment, f"{POD}.topology_spread_constraints", [], name="agent-workers"),
    Mutation("namespace-bounded", LimitRange, "metadata.namespace", "elsewhere"),
    Mutation("rbac-no-cluster-admin", RoleBinding, "role_ref.name", "cluster-admin", name="agent-access-viewer"),
    Mutation("rbac-no-wildcards", Role, "rules[0].verbs", ["*"], name="agent-access-viewer"),
    Mutation("rbac-no-secrets-read", Role, "rules[0].resources", ["secrets"], name="agent-access-viewer"),
    Mutation("rbac-no-escalation", Role, "rules[0].verbs", ["escalate"], name="agent-access-viewer"),
    Mutation(
        "rbac-no-side-doors", Role, "rules[0]",
        PolicyRuleArgs(api_groups=[""], resources=["pods/exec"], verbs=["create"]), name="agent-access-viewer",
    ),
    Mutation(
        "policies-default-deny", NetworkPolicy, "spec.policy_types", ["Ingress"], name="network-policies-agent-default-deny"
    ),
    Mutation(
        "policies-no-metadata", NetworkPolicy, "spec.egress[0].to[0].ip_block.except_", None,
        name="network-policies-agent-internet-https-out",
    ),
    Mutation(
        "policies-select-something", NetworkPolicy, "spec.pod_selector.match_labels", {"app": "nothing"},
        name="network-policies-agent-cache-out",
    ),
)  # fmt: skip

SCALING = (
    Mutation("scaling-target-exists", Deployment, "spec.replicas", 3, name="agent-workers"),
    Mutation("scaling-bounds", setting={"service.workers.minReplicas": 1}),
    Mutation(
        "scaling-has-requests", Deployment, f"{CONTAINER}.resources.requests", {"memory": "1Gi"}, name="agent-workers",
        also=("pods-resources",),
    ),
    Mutation(
        "scaling-not-twice", Scaling, "settings.service.vertical",
        Vertical(mode="InPlaceOrRecreate", controls=("cpu", "memory")), name="agent-workers-scaling",
        setting={"service.vertical.mode": "InPlaceOrRecreate", "service.vertical.controls": ["cpu", "memory"]},
    ),
    Mutation(
        "scaling-fits-nodes", HorizontalPodAutoscaler, "spec.max_replicas", 5000, name="agent-workers-scaling",
        setting={"service.workers.maxReplicas": 5000},
    ),
    Mutation("budget-lets-drain", PodDisruptionBudget, "spec.max_unavailable", 0, name="agent-workers"),
    Mutation(
        "replicas-two", HorizontalPodAutoscaler, "spec.scale_target_ref.name", "nothing", name="agent-workers-scaling",
        also=("scaling-target-exists",),
    ),
    Mutation(
        "storage-claims-bounded",
        added=lambda _, opts: kubernetes.core.v1.PersistentVolumeClaim(
            "data", metadata={"name": "data", "namespace": "agent"}, spec={}, opts=opts
        ),
    ),
)  # fmt: skip

MUTATIONS = (
    *CLUSTER, *NODES, *NETWORK, *DATABASE, *CACHE, *STORES, *IDENTITY, *ACCOUNT_WIDE, *PODS, *SCALING,
)  # fmt: skip
