"""Property changes with the effect that pulumi-aws's sources state; test_replacements.py asks the engine for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Effect = Literal["replace", "update", "none"]


@dataclass(frozen=True)
class Row:
    """A change of one property of one resource."""

    type: str
    path: str
    before: Any
    after: Any
    effect: Effect
    source: str
    others: dict[str, Any] = field(default_factory=dict[str, Any])  # what else the resource needs
    ignored: bool = False  # whether the program asks to ignore changes of the property

    @property
    def title(self) -> str:
        return f"{self.type.rsplit(':', 1)[-1]}.{self.path}"


def of(name: str) -> dict[str, str]:
    """Another resource's output."""
    return {"from": name}


FORCE_NEW, IN_PLACE = "ForceNew", "no ForceNew"
CREATE_ONLY = "cfn-lint 1.58.0 schema (2026-10-20), createOnlyProperties"


def provider(file: str, rule: str) -> str:
    return f"terraform-provider-aws internal/service/{file} {rule}"


# What the rows refer to.
AROUND: dict[str, tuple[str, dict[str, Any]]] = {
    "vpc": ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}),
    "vpc-2": ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.1.0.0/16"}),
    "subnet": ("aws:ec2/subnet:Subnet", {"vpcId": of("vpc.id"), "cidrBlock": "10.0.0.0/24"}),
    "subnet-2": ("aws:ec2/subnet:Subnet", {"vpcId": of("vpc.id"), "cidrBlock": "10.0.1.0/24"}),
    "table": ("aws:ec2/routeTable:RouteTable", {"vpcId": of("vpc.id")}),
    "gateway": ("aws:ec2/internetGateway:InternetGateway", {"vpcId": of("vpc.id")}),
    "address": ("aws:ec2/eip:Eip", {"domain": "vpc"}),
    "group": ("aws:ec2/securityGroup:SecurityGroup", {"vpcId": of("vpc.id")}),
    "role": ("aws:iam/role:Role", {"assumeRolePolicy": "{}"}),
    "role-2": ("aws:iam/role:Role", {"assumeRolePolicy": "{}"}),
    "key": ("aws:kms/key:Key", {}),
    "key-2": ("aws:kms/key:Key", {}),
    "cluster": (
        "aws:eks/cluster:Cluster",
        {"name": "around", "roleArn": of("role.arn"), "vpcConfig": {"subnetIds": [of("subnet.id")]}},
    ),
    "place": ("aws:rds/subnetGroup:SubnetGroup", {"subnetIds": [of("subnet.id")]}),
    "place-2": ("aws:rds/subnetGroup:SubnetGroup", {"subnetIds": [of("subnet-2.id")]}),
}

VPC, SUBNET, GROUP = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet", "aws:ec2/securityGroup:SecurityGroup"
CLUSTER, NODES, ADD_ON = "aws:eks/cluster:Cluster", "aws:eks/nodeGroup:NodeGroup", "aws:eks/addon:Addon"
DATABASE, CACHE = "aws:rds/instance:Instance", "aws:elasticache/replicationGroup:ReplicationGroup"
VPC_FILE, NAT_FILE = "ec2/vpc_.go", "ec2/vpc_nat_gateway.go"
CLUSTER_FILE, NODES_FILE = "eks/cluster.go", "eks/node_group.go"
DATABASE_FILE, CACHE_FILE = "rds/instance.go", "elasticache/replication_group.go"

IN_VPC = {"vpcId": of("vpc.id")}
A_CLUSTER = {"roleArn": of("role.arn"), "vpcConfig": {"subnetIds": [of("subnet.id")]}}
SOME_NODES = {
    "clusterName": of("cluster.name"),
    "nodeRoleArn": of("role.arn"),
    "subnetIds": [of("subnet.id")],
    "scalingConfig": {"minSize": 2, "maxSize": 3, "desiredSize": 2},
}
A_DATABASE = {"instanceClass": "db.t4g.medium", "engine": "postgres", "storageEncrypted": True}
A_CACHE = {"description": "cache", "nodeType": "cache.t4g.small", "engineVersion": "8.1"}

ROWS = [
    Row(VPC, "cidrBlock", "10.2.0.0/16", "10.3.0.0/16", "replace", provider(VPC_FILE, FORCE_NEW)),
    Row(VPC, "enableDnsHostnames", False, True, "update", provider(VPC_FILE, IN_PLACE), {"cidrBlock": "10.2.0.0/16"}),
    Row(VPC, "tags", {"a": "1"}, {"a": "2"}, "update", provider(VPC_FILE, IN_PLACE), {"cidrBlock": "10.2.0.0/16"}),
    Row(SUBNET, "availabilityZone", "us-east-1a", "us-east-1b", "replace", CREATE_ONLY, IN_VPC),
    Row(SUBNET, "vpcId", of("vpc.id"), of("vpc-2.id"), "replace", CREATE_ONLY),
    Row(
        "aws:ec2/natGateway:NatGateway", "subnetId", of("subnet.id"), of("subnet-2.id"), "replace",
        provider(NAT_FILE, FORCE_NEW), {"allocationId": of("address.id")},
    ),
    Row(
        "aws:ec2/route:Route", "destinationCidrBlock", "0.0.0.0/0", "10.9.0.0/16", "replace", CREATE_ONLY,
        {"routeTableId": of("table.id"), "gatewayId": of("gateway.id")},
    ),
    Row(
        "aws:ec2/vpcEndpoint:VpcEndpoint", "serviceName", "com.amazonaws.us-east-1.s3", "com.amazonaws.us-east-1.sts",
        "replace", CREATE_ONLY, IN_VPC,
    ),
    Row("aws:ec2/flowLog:FlowLog", "trafficType", "ALL", "REJECT", "replace", CREATE_ONLY, IN_VPC),
    Row(GROUP, "description", "one", "two", "replace", CREATE_ONLY, IN_VPC),
    Row(CLUSTER, "name", "one", "two", "replace", provider(CLUSTER_FILE, FORCE_NEW), A_CLUSTER),
    Row(CLUSTER, "version", "1.35", "1.36", "update", provider(CLUSTER_FILE, IN_PLACE), A_CLUSTER),
    Row(
        CLUSTER, "vpcConfig", {"subnetIds": [of("subnet.id")]}, {"subnetIds": [of("subnet.id"), of("subnet-2.id")]},
        "update", provider(CLUSTER_FILE, IN_PLACE), {"roleArn": of("role.arn")},
    ),
    Row(
        CLUSTER, "vpcConfig",
        {"subnetIds": [of("subnet.id")], "endpointPublicAccess": True, "publicAccessCidrs": ["203.0.113.0/24"]},
        {"subnetIds": [of("subnet.id")], "endpointPublicAccess": False},
        "update", provider(CLUSTER_FILE, IN_PLACE), {"roleArn": of("role.arn")},
    ),
    Row(
        CLUSTER, "accessConfig",
        {"authenticationMode": "API_AND_CONFIG_MAP"}, {"authenticationMode": "API"},
        "update", provider(CLUSTER_FILE, IN_PLACE), A_CLUSTER,
    ),
    Row(
        CLUSTER, "accessConfig",
        {"bootstrapClusterCreatorAdminPermissions": True}, {"bootstrapClusterCreatorAdminPermissions": False},
        "replace", provider(CLUSTER_FILE, FORCE_NEW), A_CLUSTER,
    ),
    Row(CLUSTER, "roleArn", of("role.arn"), of("role-2.arn"), "replace", provider(CLUSTER_FILE, FORCE_NEW),
        {"vpcConfig": {"subnetIds": [of("subnet.id")]}}),
    Row(
        CLUSTER, "encryptionConfig", {"provider": {"keyArn": of("key.arn")}, "resources": ["secrets"]}, None, "replace",
        provider(CLUSTER_FILE, "replaced only when removed (ForceNewIfChange); CloudFormation: create-only"), A_CLUSTER,
    ),
    Row(
        CLUSTER, "encryptionConfig", None, {"provider": {"keyArn": of("key.arn")}, "resources": ["secrets"]}, "update",
        provider(CLUSTER_FILE, "replaced only when removed (ForceNewIfChange); CloudFormation: create-only"), A_CLUSTER,
    ),
    Row(NODES, "instanceTypes", ["m7i.large"], ["m6i.large"], "replace", provider(NODES_FILE, FORCE_NEW), SOME_NODES),
    Row(NODES, "capacityType", "ON_DEMAND", "SPOT", "replace", provider(NODES_FILE, FORCE_NEW), SOME_NODES),
    Row(NODES, "labels", {"a": "1"}, {"a": "2"}, "update", provider(NODES_FILE, IN_PLACE), SOME_NODES),
    Row(
        NODES, "scalingConfig",
        {"minSize": 2, "maxSize": 3, "desiredSize": 2}, {"minSize": 2, "maxSize": 5, "desiredSize": 2},
        "update", provider(NODES_FILE, IN_PLACE), {k: v for k, v in SOME_NODES.items() if k != "scalingConfig"},
    ),
    Row(
        NODES, "scalingConfig",
        {"minSize": 2, "maxSize": 3, "desiredSize": 2}, {"minSize": 2, "maxSize": 3, "desiredSize": 3},
        "none", "ignoreChanges: the engine hands the provider the old value",
        {k: v for k, v in SOME_NODES.items() if k != "scalingConfig"}, ignored=True,
    ),
    Row(ADD_ON, "addonName", "coredns", "kube-proxy", "replace", CREATE_ONLY, {"clusterName": of("cluster.name")}),
    Row(DATABASE, "storageEncrypted", False, True, "replace", provider(DATABASE_FILE, FORCE_NEW),
        {"instanceClass": "db.t4g.medium"}),
    Row(DATABASE, "engineVersion", "17.6", "18.1", "update", provider(DATABASE_FILE, IN_PLACE), A_DATABASE),
    Row(
        DATABASE, "instanceClass", "db.t4g.medium", "db.r7g.large", "update", provider(DATABASE_FILE, IN_PLACE),
        {"engine": "postgres"},
    ),
    Row(DATABASE, "multiAz", False, True, "update", provider(DATABASE_FILE, IN_PLACE), A_DATABASE),
    Row(DATABASE, "multiAz", None, None, "none", "nothing changes", A_DATABASE),
    Row(DATABASE, "allocatedStorage", 50, 100, "update", provider(DATABASE_FILE, IN_PLACE), A_DATABASE),
    Row(DATABASE, "kmsKeyId", of("key.arn"), of("key-2.arn"), "replace", provider(DATABASE_FILE, FORCE_NEW), A_DATABASE),
    Row(
        DATABASE, "dbSubnetGroupName", of("place.name"), of("place-2.name"), "update",
        provider(DATABASE_FILE, "no ForceNew; CloudFormation: create-only, the provider wins"), A_DATABASE,
    ),
    Row(
        CACHE, "atRestEncryptionEnabled", False, True, "replace", provider(CACHE_FILE, FORCE_NEW), A_CACHE,
    ),
    Row(
        CACHE, "nodeType", "cache.t4g.small", "cache.m7g.large", "update", provider(CACHE_FILE, IN_PLACE),
        {"description": "cache"},
    ),
    Row(
        CACHE, "engineVersion", "8.0", "8.1", "update",
        provider(CACHE_FILE, "on downgrade only (customizeDiffEngineVersionForceNewOnDowngrade)"),
        {"description": "cache"},
    ),
    Row(
        CACHE, "engineVersion", "8.1", "8.0", "replace",
        provider(CACHE_FILE, "on downgrade only (customizeDiffEngineVersionForceNewOnDowngrade)"),
        {"description": "cache"},
    ),
    Row(CACHE, "multiAzEnabled", False, True, "update", provider(CACHE_FILE, IN_PLACE), A_CACHE),
    Row("aws:kms/key:Key", "enableKeyRotation", False, True, "update", provider("kms/key.go", IN_PLACE)),
    Row("aws:s3/bucket:Bucket", "bucket", "before-it", "after-it", "replace", CREATE_ONLY),
    Row("aws:iam/role:Role", "path", "/", "/agents/", "replace", CREATE_ONLY, {"assumeRolePolicy": "{}"}),
    Row("aws:sqs/queue:Queue", "fifoQueue", False, True, "replace", CREATE_ONLY),
    Row("aws:secretsmanager/secret:Secret", "name", "before", "after", "replace", CREATE_ONLY),
    Row("aws:backup/vault:Vault", "kmsKeyArn", of("key.arn"), of("key-2.arn"), "replace", CREATE_ONLY),
]  # fmt: skip
