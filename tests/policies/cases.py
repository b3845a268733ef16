"""What makes each check fail, and what keeps it from knowing: one change each of a graph on which it passes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stacks.graph import Resource
from tests.resources import resource

EXISTENCE = "it reads only whether something is there"


@dataclass(frozen=True)
class Case:
    """`path` is within the part that the check judges; `of` names another resource type to change.

    `given` are resources that the shipped stacks do not have; `drop` leaves a type out; `unknown` is the path that the
    verdict hangs on where it is not `path`, or EXISTENCE.
    """

    check: str
    path: str = ""
    bad: Any = None
    of: str = ""
    at: str = ""  # which resource, when not any that passes will do: the end of its URN
    drop: str = ""
    unknown: str = ""
    given: tuple[Resource, ...] = ()
    failing: tuple[Resource, ...] = ()  # put in to make it fail
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])  # of the resource, to make it fail


def statement(**fields: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::a/*", **fields}


ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
BINDING = "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"
REPOSITORY = "aws:ecr/repository:Repository"
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
USER = "aws:iam/user:User"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
SUBNET = "aws:ec2/subnet:Subnet"
VPA = "kubernetes:autoscaling.k8s.io/v1:VerticalPodAutoscaler"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"

REGISTRY = resource(
    REPOSITORY,
    {
        "imageTagMutability": "IMMUTABLE",
        "imageScanningConfiguration": {"scanOnPush": True},
        "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": "arn:aws:kms:us-east-1:123456789012:key/a"}],
    },
)
LOGGED = resource("aws:s3/bucket:Bucket", {"bucket": "logged"}, "logged")
LOGGING = resource("aws:s3/bucketLogging:BucketLogging", {}, "logging", bucket=(LOGGED.urn,))
OIDC = "token.actions.githubusercontent.com"
PIPELINE = resource(
    "aws:iam/role:Role",
    {
        "assumeRolePolicy": json.dumps(
            {
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{OIDC}"},
                        "Condition": {
                            "StringEquals": {
                                f"{OIDC}:aud": "sts.amazonaws.com",
                                f"{OIDC}:sub": "repo:a/b:environment:prod",
                            }
                        },
                    }
                ]
            }
        )
    },
    "pipeline",
)
DEPLOYMENT = resource(
    "kubernetes:apps/v1:Deployment",
    {
        "spec": {
            "template": {
                "spec": {
                    "priorityClassName": "agents",
                    "containers": [
                        {"image": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/a@sha256:{'0' * 64}"},
                    ],
                }
            }
        }
    },
    "pinned",
)
READER = resource(ROLE, {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}, "reader")
VERTICAL = resource(
    VPA,
    {
        "metadata": {"name": "agent-workers", "namespace": "agent"},
        "spec": {
            "targetRef": {"kind": "Deployment", "name": "agent-workers"},
            "updatePolicy": {"updateMode": "InPlaceOrRecreate"},
            "resourcePolicy": {"containerPolicies": [{"controlledResources": ["memory"]}]},
        },
    },
)
BOUND = resource(BINDING, {"roleRef": {"name": "reader"}}, "bound")

DATABASE_GROUP = (
    "urn:pulumi:prod::langgraph-eks::langgraph-eks:aws:Database$aws:ec2/securityGroup:SecurityGroup::database"
)
DATA_EGRESS = resource(EGRESS, {"cidrIpv4": "0.0.0.0/0"}, "out", securityGroupId=(DATABASE_GROUP,))
WIDE_INGRESS = resource(
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    {"cidrIpv4": "10.0.0.0/8", "fromPort": 5432, "toPort": 5432},
    "wide",
    securityGroupId=(DATABASE_GROUP,),
)

AWS = (
    Case("eks-endpoint-restricted", "vpcConfig.publicAccessCidrs", ["0.0.0.0/0"]),
    Case("eks-endpoint-private", "vpcConfig.endpointPrivateAccess", False),
    Case("eks-version-supported", "version", "1.29"),
    Case("eks-support-type", "upgradePolicy.supportType", "EXTENDED"),
    Case("eks-secrets-encrypted", "encryptionConfig.resources", []),
    Case("eks-control-plane-logs", "enabledClusterLogTypes", ["api"]),
    Case("eks-access-entries", "accessConfig.authenticationMode", "CONFIG_MAP"),
    Case("eks-deletion-protection", "deletionProtection", False),
    Case("eks-private-subnets", "availabilityZone", "one", of=SUBNET),
    Case("eks-add-ons-managed", "addonName", "other", of="aws:eks/addon:Addon"),
    Case("eks-add-on-pinned", "addonVersion", None),
    Case("eks-network-policy-engine", "configurationValues", "{}"),
    Case("eks-pod-identity", drop="aws:eks/podIdentityAssociation:PodIdentityAssociation", unknown=EXISTENCE),
    Case("eks-zonal-shift", "zonalShiftConfig.enabled", False),
    Case("eks-admins-are-roles", "principalArn", "arn:aws:iam::123456789012:user/ada"),
    Case("nodes-imdsv2", "metadataOptions.httpTokens", "optional"),
    Case("nodes-hop-limit", "metadataOptions.httpPutResponseHopLimit", 2),
    Case("nodes-disk-encrypted", "encrypted", "false"),
    Case("nodes-disk-gp3", "volumeType", "gp2"),
    Case("nodes-no-public-address", "associatePublicIPAddress", True),
    Case("nodes-no-ssh", "remoteAccess", {"ec2SshKey": "key"}, unknown=EXISTENCE),
    Case("nodes-ami", "amiType", "AL2_x86_64"),
    Case("nodes-ami-pinned", "spec.amiSelectorTerms[0].alias", "al2023@latest"),
    Case("nodes-spot-diverse", "spec.template.spec.requirements[2].values", ["m7i.large"]),
    Case("nodes-on-demand-base", "scalingConfig.minSize", 1, of="aws:eks/nodeGroup:NodeGroup"),
    Case("nodes-scaling-bounds", "scalingConfig.maxSize", 500),
    Case("nodes-pool-bounded", "spec.limits", {}),
    Case("nodes-pool-disruption", "spec.template.spec.expireAfter", "Never"),
    Case("nodes-base-not-burstable", "instanceTypes", ["t3.large"]),
    Case(
        "nodes-role-minimal",
        "policyArn",
        "arn:aws:iam::aws:policy/AmazonS3FullAccess",
        at="system-nodes-AmazonEKSWorkerNodePolicy",
    ),
    Case("nodes-spot-grace", "spec.template.spec.terminationGracePeriodSeconds", 600),
    Case("network-flow-logs", "trafficType", "REJECT", of=FLOW_LOG),
    Case("network-default-group-closed", drop="aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", unknown=EXISTENCE),
    Case("network-no-world-ingress", "cidrIpv4", "0.0.0.0/0", at="Rule::database"),
    Case("network-data-egress", unknown=EXISTENCE, failing=(DATA_EGRESS,)),
    Case("network-no-auto-public-address", "mapPublicIpOnLaunch", True),
    Case("network-endpoints", "serviceName", "other", of="aws:ec2/vpcEndpoint:VpcEndpoint"),
    Case("network-nat-per-zone", drop="aws:ec2/natGateway:NatGateway", unknown="availabilityZone", of=SUBNET),
    Case("network-pod-addresses", "spec.kubelet.maxPods", 5000),
    Case("load-balancer-tls", "sslPolicy", "ELBSecurityPolicy-2016-08", at="load-balancer-https"),
    Case("load-balancer-drops-bad-headers", "dropInvalidHeaderFields", False),
    Case("load-balancer-access-logs", "accessLogs.enabled", False),
    Case("load-balancer-deletion-protection", "enableDeletionProtection", False),
    Case("load-balancer-firewall", drop="aws:wafv2/webAclAssociation:WebAclAssociation", unknown="internal"),
    Case("rds-not-public", "publiclyAccessible", True),
    Case("rds-encrypted", "storageEncrypted", False),
    Case("rds-multi-az", "multiAz", False),
    Case("rds-backups", "backupRetentionPeriod", 1),
    Case("rds-deletion-protection", "deletionProtection", False),
    Case("rds-force-ssl", "parameters[0].value", "0", of="aws:rds/parameterGroup:ParameterGroup"),
    Case("rds-minor-upgrades", "autoMinorVersionUpgrade", False),
    Case("rds-enhanced-monitoring", "monitoringInterval", 0),
    Case("rds-insights", "performanceInsightsEnabled", False),
    Case("rds-log-exports", "enabledCloudwatchLogsExports", []),
    Case("rds-iam-authentication", "iamDatabaseAuthenticationEnabled", False),
    Case("rds-managed-password", "manageMasterUserPassword", False),
    Case("rds-tagged-snapshots", "copyTagsToSnapshot", False),
    Case("rds-version-supported", "engineVersion", "13.4"),
    Case("rds-storage-grows", "maxAllocatedStorage", 0),
    Case("rds-modern-authority", "caCertIdentifier", "rds-ca-2019"),
    Case("rds-private-subnets", "availabilityZone", "one", of=SUBNET),
    Case("rds-ingress-from-groups", unknown=EXISTENCE, failing=(WIDE_INGRESS,)),
    Case("rds-backup-plan", drop="aws:backup/selection:Selection", unknown=EXISTENCE),
    Case("cache-encrypted-at-rest", "atRestEncryptionEnabled", False),
    Case("cache-encrypted-in-transit", "transitEncryptionMode", "preferred"),
    Case("cache-sign-in", "userGroupIds", None, unknown=EXISTENCE),
    Case("cache-failover", "automaticFailoverEnabled", False),
    Case("cache-snapshots", "snapshotRetentionLimit", 0),
    Case("cache-minor-upgrades", "autoMinorVersionUpgrade", False),
    Case("cache-own-subnets", "subnetGroupName", "default", unknown=EXISTENCE),
    Case("cache-version-supported", "engineVersion", "5.0"),
    Case(
        "cache-eviction-fits", "parameters[0].value", "volatile-lru", of="aws:elasticache/parameterGroup:ParameterGroup"
    ),
    Case("bucket-not-public", "blockPublicAcls", False, of="aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"),
)

BUCKETS = "aws:s3/bucket"
STATEMENT = "policy.Statement[0]"
STORES = (
    Case(
        "bucket-encrypted",
        "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm",
        "AES256",
        of=f"{BUCKETS}ServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    ),
    Case("bucket-tls-only", "policy", '{"Statement": []}', of=f"{BUCKETS}Policy:BucketPolicy"),
    Case("bucket-versioned", "versioningConfiguration.status", "Suspended", of=f"{BUCKETS}Versioning:BucketVersioning"),
    Case("bucket-lifecycle", "rules", [], of=f"{BUCKETS}LifecycleConfiguration:BucketLifecycleConfiguration"),
    Case("bucket-access-logs", drop=LOGGING.type, unknown=EXISTENCE, given=(LOGGED, LOGGING)),
    Case("bucket-not-emptied", "forceDestroy", True),
    Case("key-rotates", "enableKeyRotation", False),
    Case("key-policy-closed", "Principal", "*", unknown="policy"),
    Case("key-deletion-window", "deletionWindowInDays", 7),
    Case("key-one-region", "multiRegion", True),
    Case("secret-encrypted", "kmsKeyId", None, unknown=EXISTENCE),
    Case("secret-recoverable", "recoveryWindowInDays", 0),
    Case("secret-no-value-in-state", "secretString", "x", unknown=EXISTENCE, given=(resource(SECRET_VERSION, {}),)),
    Case(
        "secret-not-in-configuration",
        "data.DATABASE_PASSWORD",
        "hunter2",
        unknown="data",
        of="kubernetes:core/v1:ConfigMap",
    ),
    Case("registry-immutable", "imageTagMutability", "MUTABLE", given=(REGISTRY,)),
    Case("registry-scans", "imageScanningConfiguration.scanOnPush", False, given=(REGISTRY,)),
    Case("registry-lifecycle", "lifecyclePolicy", '{"rules": []}'),
    Case("registry-encrypted", "encryptionConfigurations", [], given=(REGISTRY,)),
    Case("logs-retention", "retentionInDays", 3650),
    Case("logs-encrypted", "kmsKeyId", None, unknown=EXISTENCE),
    Case("messages-encrypted", "sqsManagedSseEnabled", False),
    Case("iam-no-full-rights", "", statement(Action="*", Resource="*"), unknown="policy"),
    Case("iam-no-service-wildcards", "Action", ["s3:*"], unknown="policy"),
    Case("iam-pass-role-scoped", "", statement(Action="iam:PassRole", Resource="*"), unknown="policy"),
    Case("iam-decrypt-scoped", "", statement(Action="kms:Decrypt", Resource="*"), unknown="policy"),
    Case("iam-no-users", unknown=EXISTENCE, failing=(resource(USER, {"name": "ada"}),)),
    Case("iam-no-administrator", "policyArn", "arn:aws:iam::aws:policy/AdministratorAccess", at="Attachment::cluster"),
    Case("iam-pod-trust-exact", "Condition", {}, unknown="assumeRolePolicy"),
    Case("iam-pipeline-trust-exact", "Condition", {}, unknown="assumeRolePolicy", given=(PIPELINE,)),
    Case("iam-trust-named", "Principal", {"AWS": "*"}, unknown="assumeRolePolicy"),
    Case("tags-required", "defaultTags", '{"tags": {}}'),
    Case("account-named", "allowedAccountIds", None, unknown=EXISTENCE),
    Case("region-allowed", "region", "eu-north-1"),
    Case(
        "region-of-resource-allowed",
        "region",
        "eu-north-1",
        given=(resource("aws:sqs/queue:Queue", {"region": "us-east-1"}),),
    ),
    Case("copies-stay-in-region", "region", "eu-north-1", of="pulumi:providers:aws"),
    Case("budget-alerts", "notifications", [], of="aws:budgets/budget:Budget"),
    Case("no-idle-addresses", drop="aws:ec2/natGateway:NatGateway", unknown=EXISTENCE),
    Case("database-class-allowed", "instanceClass", "db.m4.large"),
)

KUBERNETES = (
    Case("pods-namespace-guarded", "metadata.labels", {}),
    Case("pods-no-host-access", "hostNetwork", True),
    Case("pods-not-privileged", "securityContext.privileged", True),
    Case("pods-no-escalation", "securityContext.allowPrivilegeEscalation", True),
    Case("pods-not-root", "securityContext.runAsUser", 0),
    Case("pods-no-capabilities", "securityContext.capabilities.drop", []),
    Case("pods-seccomp", "securityContext", {}),
    Case("pods-read-only-files", "securityContext.readOnlyRootFilesystem", False),
    Case("pods-resources", "resources", {}),
    Case("pods-probes", "readinessProbe", None, unknown="ports"),
    Case("pods-image-pinned", "image", "docker.io/library/python:latest", given=(DEPLOYMENT,)),
    Case("pods-own-account", "serviceAccountName", "default"),
    Case("pods-not-in-default", "metadata.namespace", "default"),
    Case("pods-priority", "priorityClassName", None, given=(DEPLOYMENT,)),
    Case("namespace-bounded", drop="kubernetes:core/v1:LimitRange", unknown="metadata.name"),
    Case("rbac-no-cluster-admin", "roleRef.name", "cluster-admin", given=(BOUND,)),
    Case("rbac-no-wildcards", "verbs", ["*"], given=(READER,)),
    Case("rbac-no-secrets-read", "resources", ["secrets"], given=(READER,)),
    Case("rbac-no-escalation", "verbs", ["escalate"], given=(READER,)),
    Case(
        "rbac-no-side-doors",
        "",
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
        unknown="resources",
        given=(READER,),
    ),
    Case(
        "policies-default-deny",
        drop="kubernetes:networking.k8s.io/v1:NetworkPolicy",
        unknown="spec.policyTypes",
        of="kubernetes:networking.k8s.io/v1:NetworkPolicy",
    ),
    Case("policies-no-metadata", "", {"cidr": "0.0.0.0/0"}, unknown="cidr"),
    Case("policies-select-something", "spec.podSelector", {"matchLabels": {"app": "nothing"}}),
    Case("scaling-target-exists", "spec.scaleTargetRef.name", "nothing"),
    Case("scaling-bounds", "spec.minReplicas", 1),
    Case("scaling-has-requests", "spec.template.spec.containers[0].resources", {}, of="kubernetes:apps/v1:Deployment"),
    Case("scaling-not-twice", "spec.resourcePolicy", {}, given=(VERTICAL,)),
    Case("scaling-fits-nodes", "spec.maxReplicas", 100_000, of="kubernetes:autoscaling/v2:HorizontalPodAutoscaler"),
    Case(
        "budget-lets-drain",
        drop="kubernetes:policy/v1:PodDisruptionBudget",
        unknown="spec.minReplicas",
        of="kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
    ),
    Case("replicas-spread", "spec.template.spec.topologySpreadConstraints", []),
    Case("replicas-two", drop="kubernetes:autoscaling/v2:HorizontalPodAutoscaler", unknown=EXISTENCE),
    Case("stateful-protected", unknown=EXISTENCE, options={"protect": False, "retain_on_delete": False}),
    Case(
        "storage-claims-bounded",
        "storageClassName",
        None,
        given=(resource(CLAIM, {"spec": {"storageClassName": "gp3"}}),),
    ),
)

CASES = (*AWS, *STORES, *KUBERNETES)
