"""One row per AWS type: its id, name, computed outputs, what replaces it, what it refers to, what guards it.

``replaces``: properties whose change replaces the resource in pulumi-aws. Read from terraform-provider-aws's ForceNew
(as bridged by pulumi-aws 7.51.1), checked against CloudFormation's createOnlyProperties in cfn-lint 1.58's schemas
(2026-10-20); where the two differ the provider wins. ``path:removed`` and ``path:lowered`` replace only when the value
goes or becomes a lower version. TLS of a cache replaces before engine 7.0.5 only, which we do not have. Rows marked ``cfn`` rest on CloudFormation's schema alone.
``refers``: property path → ``type attribute``; ``[]`` walks a list. What is ``held`` cannot be deleted while referred to:
the uses that the services' API references name (DependencyViolation, DeleteConflict, ResourceInUse, …); a key or a topic
can always be deleted.
Everything else comes from the SDK's own classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class AwsType:
    """Facts of a type that the SDK does not tell. Templates may use inputs, id, region, account, h8, h17, h26."""

    id: str
    name: str = ""  # the property that names it; made from the logical name where it is absent
    replaces: str = ""
    refers: dict[str, str] = field(default_factory=dict[str, str])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    protected: str = ""  # the property that, when true, forbids deletion
    counter: str = ""  # an output that counts updates


_VPC = "aws:ec2/vpc:Vpc id"
_SUBNET = "aws:ec2/subnet:Subnet id"
_GROUP = "aws:ec2/securityGroup:SecurityGroup id"
_TABLE = "aws:ec2/routeTable:RouteTable id"
_CLUSTER = "aws:eks/cluster:Cluster name"
_ROLE = "aws:iam/role:Role name"
_ROLE_ARN = "aws:iam/role:Role arn"
_KEY_ARN = "aws:kms/key:Key arn"
_BUCKET = "aws:s3/bucket:Bucket bucket"
_TOPIC = "aws:sns/topic:Topic arn"
_VAULT = "aws:backup/vault:Vault name"
_LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup arn"
_BALANCER = "aws:lb/loadBalancer:LoadBalancer arn"


def _ec2(
    kind: str, prefix: str, /, replaces: str = "", refers: dict[str, str] | None = None, **outputs: Any
) -> AwsType:
    """An EC2 resource: an id of 17 hex digits behind a prefix, and an ARN of the same."""
    arn = f"arn:aws:ec2:{{region}}:{{account}}:{kind}/{{id}}"
    return AwsType(f"{prefix}-{{h17}}", replaces=replaces, refers=refers or {}, outputs={"arn": arn, **outputs})


def _of_bucket(replaces: str = "bucket") -> AwsType:
    """A sub-resource of a bucket, one a bucket."""
    return AwsType("{bucket}", replaces=replaces, refers={"bucket": _BUCKET})


_OWNER = "bucket expectedBucketOwner"
_OWNED = _of_bucket(_OWNER)


def _held(target: str) -> str:
    return f"{target} held"


def _arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{{region}}:{{account}}:{rest}"


def _named(service: str, rest: str, replaces: str = "name namePrefix", refers: dict[str, str] | None = None) -> AwsType:
    """What is known by its name, which is its id and ends its ARN."""
    return AwsType("{name}", "name", replaces, refers or {}, {"arn": _arn(service, rest)})


# The provider modifies a rule in place; only its group is fixed (its schema has a plan modifier, no ForceNew). The
# group may be the one that EKS makes, which is no resource here: it is not looked for.
_RULE = AwsType(
    "sgr-{h17}", replaces="securityGroupId",
    outputs={"arn": _arn("ec2", "security-group-rule/{id}"), "securityGroupRuleId": "{id}"},
)  # fmt: skip
TYPES: dict[str, AwsType] = {
    "aws:ec2/vpc:Vpc": _ec2(
        "vpc", "vpc", "cidrBlock ipv4IpamPoolId ipv4NetmaskLength", mainRouteTableId="rtb-{h17}",
        defaultSecurityGroupId="sg-{h17}", ownerId="{account}",
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _ec2("security-group", "sg", "vpcId", {"vpcId": _VPC}),
    "aws:ec2/internetGateway:InternetGateway": _ec2("internet-gateway", "igw", "", {"vpcId": _held(_VPC)}),
    "aws:ec2/subnet:Subnet": _ec2(
        "subnet", "subnet",
        "availabilityZone availabilityZoneId cidrBlock ipv4IpamPoolId ipv4NetmaskLength ipv6CidrBlock "
        "ipv6IpamPoolId ipv6Native ipv6NetmaskLength outpostArn vpcId",
        {"vpcId": _held(_VPC)}, availabilityZoneId="use1-az1", ownerId="{account}",
    ),
    "aws:ec2/routeTable:RouteTable": _ec2("route-table", "rtb", "vpcId", {"vpcId": _held(_VPC)}),
    "aws:ec2/route:Route": AwsType(
        "r-{routeTableId}{h8}",
        replaces="destinationCidrBlock destinationIpv6CidrBlock destinationPrefixListId routeTableId",
        refers={
            "routeTableId": _TABLE, "gatewayId": "aws:ec2/internetGateway:InternetGateway id",
            "natGatewayId": "aws:ec2/natGateway:NatGateway id",
        },
        outputs={"state": "active", "origin": "CreateRoute"},
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": AwsType(
        "rtbassoc-{h17}", replaces="routeTableId subnetId gatewayId",
        refers={"routeTableId": _held(_TABLE), "subnetId": _SUBNET},
    ),
    "aws:ec2/eip:Eip": _ec2(
        "elastic-ip", "eipalloc", "address ipamPoolId networkBorderGroup", allocationId="{id}",
        publicIp="203.0.113.{octet}",
    ),
    "aws:ec2/natGateway:NatGateway": _ec2(
        "natgateway", "nat",
        "allocationId availabilityMode connectivityType privateIp secondaryPrivateIpAddressCount subnetId vpcId",
        {"subnetId": _held(_SUBNET), "allocationId": _held("aws:ec2/eip:Eip id")}, publicIp="203.0.113.{octet}",
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _ec2(
        "vpc-endpoint", "vpce",
        "dnsOptions.privateDnsPreference privateDnsEnabled resourceConfigurationArn serviceName "
        "serviceNetworkArn serviceRegion vpcEndpointType vpcId",
        {"vpcId": _held(_VPC), "subnetIds[]": _held(_SUBNET), "securityGroupIds[]": _held(_GROUP), "routeTableIds[]": _TABLE},
        state="available",
    ),
    "aws:ec2/flowLog:FlowLog": _ec2(
        "vpc-flow-log", "fl",
        "deliverCrossAccountRole destinationOptions eniId iamRoleArn logDestination logDestinationType "
        "logFormat maxAggregationInterval subnetId tagFieldSpecifications trafficType vpcId",
        {"vpcId": _VPC, "iamRoleArn": _ROLE_ARN, "logDestination": _LOG_GROUP},
    ),
    "aws:ec2/securityGroup:SecurityGroup": AwsType(
        "sg-{h17}", "name", "description name namePrefix vpcId", {"vpcId": _held(_VPC)},
        {"arn": _arn("ec2", "security-group/{id}"), "ownerId": "{account}"},
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _RULE,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _RULE,
    "aws:ec2/launchTemplate:LaunchTemplate": AwsType(
        "lt-{h17}", "name", "name namePrefix", {"blockDeviceMappings[].ebs.kmsKeyId": _KEY_ARN},
        {"arn": _arn("ec2", "launch-template/{id}"), "latestVersion": 1}, counter="latestVersion",
    ),
    "aws:ec2/tag:Tag": AwsType("{resourceId},{key}", replaces="resourceId key"),  # terraform-provider-aws ec2 tag.go
    "aws:iam/role:Role": AwsType(
        "{name}", "name", "name namePrefix path",
        outputs={"arn": "arn:aws:iam::{account}:role{path}{name}", "uniqueId": "AROA{H17}", "path": "/"},
    ),
    "aws:iam/rolePolicy:RolePolicy": AwsType("{role}:{name}", "name", "name namePrefix role", {"role": _held(_ROLE)}),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": AwsType(
        "{role}/{policyArn}", replaces="policyArn role", refers={"role": _held(_ROLE)},
    ),
    "aws:kms/key:Key": AwsType(
        "{uuid}", replaces="customKeyStoreId customerMasterKeySpec keyUsage multiRegion xksKeyId",
        outputs={"arn": _arn("kms", "key/{id}"), "keyId": "{id}"},
    ),
    "aws:kms/alias:Alias": _named("kms", "{name}", refers={"targetKeyId": "aws:kms/key:Key id"}),
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": AwsType("{ecrRepositoryPrefix}", "", "ecrRepositoryPrefix upstreamRegistryUrl"),
    "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate": AwsType("{prefix}", replaces="prefix"),
    "aws:eks/cluster:Cluster": AwsType(
        "{name}", "name",
        "accessConfig.bootstrapClusterCreatorAdminPermissions bootstrapSelfManagedAddons "
        "encryptionConfig:removed kubernetesNetworkConfig.ipFamily kubernetesNetworkConfig.serviceIpv4Cidr name "
        "outpostConfig remoteNetworkConfig roleArn",
        {
            "roleArn": _ROLE_ARN, "vpcConfig.subnetIds[]": _held(_SUBNET), "vpcConfig.securityGroupIds[]": _held(_GROUP),
            "encryptionConfig.provider.keyArn": _KEY_ARN,
        },
        {
            "arn": _arn("eks", "cluster/{name}"), "endpoint": "https://{H32}.gr7.{region}.eks.amazonaws.com",
            "certificateAuthority": {"data": "{base64}"}, "platformVersion": "eks.1", "status": "ACTIVE",
            "vpcConfig": {"clusterSecurityGroupId": "sg-{h17}", "vpcId": "vpc-{h17}"},
        },
        protected="deletionProtection",
    ),
    "aws:eks/nodeGroup:NodeGroup": AwsType(
        "{clusterName}:{nodeGroupName}", "nodeGroupName",
        "amiType capacityType clusterName diskSize instanceTypes launchTemplate.id launchTemplate.name "
        "nodeGroupName nodeGroupNamePrefix nodeRoleArn remoteAccess subnetIds",
        {
            "clusterName": _held(_CLUSTER), "nodeRoleArn": _ROLE_ARN, "subnetIds[]": _held(_SUBNET),
            "launchTemplate.id": "aws:ec2/launchTemplate:LaunchTemplate id",
        },
        {"arn": _arn("eks", "nodegroup/{clusterName}/{nodeGroupName}/{uuid}"), "status": "ACTIVE"},
    ),
    "aws:eks/addon:Addon": AwsType(
        "{clusterName}:{addonName}", replaces="addonName clusterName namespaceConfig",
        refers={"clusterName": _CLUSTER}, outputs={"arn": _arn("eks", "addon/{clusterName}/{addonName}/{uuid}")},
    ),
    "aws:eks/accessEntry:AccessEntry": AwsType(
        "{clusterName}:{principalArn}", replaces="clusterName principalArn type", refers={"clusterName": _CLUSTER},
        outputs={"accessEntryArn": _arn("eks", "access-entry/{clusterName}/role/{account}/{h8}"), "type": "STANDARD"},
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": AwsType(
        # terraform-provider-aws eks access_policy_association.go: every argument forces a new one.
        "{clusterName}#{principalArn}#{policyArn}", replaces="accessScope clusterName policyArn principalArn",
        refers={"clusterName": _CLUSTER, "principalArn": "aws:eks/accessEntry:AccessEntry principalArn"},
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": AwsType(
        "a-{h17}", replaces="clusterName namespace serviceAccount",
        refers={"clusterName": _CLUSTER, "roleArn": _ROLE_ARN},
        outputs={"associationArn": _arn("eks", "podidentityassociation/{clusterName}/{id}"), "associationId": "{id}"},
    ),
    "aws:rds/subnetGroup:SubnetGroup": _named("rds", "subgrp:{name}", refers={"subnetIds[]": _SUBNET}),
    "aws:rds/parameterGroup:ParameterGroup": _named("rds", "pg:{name}", "description family name namePrefix"),
    "aws:rds/instance:Instance": AwsType(
        "db-{H26}", "identifier",
        "availabilityZone backupTarget characterSetName dbName engine identifier identifierPrefix kmsKeyId "
        "ncharCharacterSetName restoreToPointInTime snapshotIdentifier storageEncrypted timezone username",
        {
            "dbSubnetGroupName": _held("aws:rds/subnetGroup:SubnetGroup name"),
            "parameterGroupName": _held("aws:rds/parameterGroup:ParameterGroup name"), "vpcSecurityGroupIds[]": _held(_GROUP),
            "kmsKeyId": _KEY_ARN, "monitoringRoleArn": _ROLE_ARN, "masterUserSecretKmsKeyId": _KEY_ARN,
            "performanceInsightsKmsKeyId": _KEY_ARN,
        },
        {
            "arn": _arn("rds", "db:{identifier}"), "address": "{identifier}.c{h12}.{region}.rds.amazonaws.com",
            "endpoint": "{identifier}.c{h12}.{region}.rds.amazonaws.com:5432", "resourceId": "{id}",
            "status": "available",
            "masterUserSecrets": [
                {"secretArn": _arn("secretsmanager", "secret:rds!{id}-{h8}"), "secretStatus": "active"},
            ],
        },
        protected="deletionProtection",
    ),
    "aws:elasticache/subnetGroup:SubnetGroup": _named("elasticache", "subnetgroup:{name}", "name", {"subnetIds[]": _SUBNET}),
    "aws:elasticache/parameterGroup:ParameterGroup": _named("elasticache", "parametergroup:{name}", "family name"),
    "aws:elasticache/user:User": AwsType(
        "{userId}", replaces="userId userName", outputs={"arn": _arn("elasticache", "user:{userId}")},
    ),
    "aws:elasticache/userGroup:UserGroup": AwsType(
        "{userGroupId}", replaces="userGroupId", refers={"userIds[]": "aws:elasticache/user:User userId"},
        outputs={"arn": _arn("elasticache", "usergroup:{userGroupId}")},
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": AwsType(
        "{replicationGroupId}", "replicationGroupId",
        "atRestEncryptionEnabled dataTieringEnabled engine engineVersion:lowered globalReplicationGroupId "
        "kmsKeyId networkType port preferredCacheClusterAzs replicationGroupId snapshotArns snapshotName "
        "subnetGroupName",
        {
            "subnetGroupName": _held("aws:elasticache/subnetGroup:SubnetGroup name"),
            "parameterGroupName": _held("aws:elasticache/parameterGroup:ParameterGroup name"), "securityGroupIds[]": _held(_GROUP),
            "kmsKeyId": _KEY_ARN, "userGroupIds[]": "aws:elasticache/userGroup:UserGroup userGroupId",
        },
        {
            "arn": _arn("elasticache", "replicationgroup:{replicationGroupId}"),
            "primaryEndpointAddress": "master.{replicationGroupId}.{h8}.use1.cache.amazonaws.com",
            "readerEndpointAddress": "replica.{replicationGroupId}.{h8}.use1.cache.amazonaws.com",
        },
    ),
    "aws:secretsmanager/secret:Secret": AwsType(
        "{arn}", "name", "name namePrefix", {"kmsKeyId": _KEY_ARN},
        {"arn": _arn("secretsmanager", "secret:{name}-{h8}")},
    ),
    "aws:sqs/queue:Queue": AwsType(
        "https://sqs.{region}.amazonaws.com/{account}/{name}", "name", "fifoQueue name namePrefix",
        outputs={"arn": _arn("sqs", "{name}"), "url": "{id}"},
    ),
    "aws:sqs/queuePolicy:QueuePolicy": AwsType("{queueUrl}", "", "queueUrl", {"queueUrl": "aws:sqs/queue:Queue url"}),
    "aws:cloudwatch/eventRule:EventRule": _named("events", "rule/{name}"),
    "aws:cloudwatch/eventTarget:EventTarget": AwsType(
        "{rule}-{h8}", replaces="rule targetId", refers={"rule": _held("aws:cloudwatch/eventRule:EventRule name")},
        outputs={"targetId": "{h8}"},
    ),
    "aws:scheduler/schedule:Schedule": AwsType(  # terraform-provider-aws scheduler schedule.go
        "{groupName}/{name}", "name", "groupName name namePrefix", {"target.roleArn": _ROLE_ARN},
        {"arn": _arn("scheduler", "schedule/{groupName}/{name}"), "groupName": "default"},
    ),
    "aws:cloudwatch/logGroup:LogGroup": _named("logs", "log-group:{name}", refers={"kmsKeyId": _KEY_ARN}),
    "aws:cloudwatch/metricAlarm:MetricAlarm": _named(
        "cloudwatch", "alarm:{name}", "name", {"alarmActions[]": _TOPIC, "okActions[]": _TOPIC},
    ),
    "aws:s3/bucket:Bucket": AwsType(
        "{bucket}", "bucket", "bucket bucketNamespace bucketPrefix",
        outputs={
            "arn": "arn:aws:s3:::{bucket}", "bucketDomainName": "{bucket}.s3.amazonaws.com",
            "bucketRegionalDomainName": "{bucket}.s3.{region}.amazonaws.com",
        },
    ),
    "aws:s3/bucketPolicy:BucketPolicy": _of_bucket(),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _of_bucket(),
    # The four below: terraform-provider-aws s3 bucket_*.go, ForceNew on bucket and expectedBucketOwner.
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _of_bucket(),
    "aws:s3/bucketVersioning:BucketVersioning": _OWNED,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _OWNED,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _OWNED,
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": _of_bucket(f"{_OWNER} objectLockEnabled"),
    "aws:sns/topic:Topic": AwsType(
        "{arn}", "name", "fifoTopic name namePrefix", {"kmsMasterKeyId": _KEY_ARN}, {"arn": _arn("sns", "{name}")},
    ),
    "aws:sns/topicPolicy:TopicPolicy": AwsType("{arn}", replaces="arn", refers={"arn": _TOPIC}),  # cfn
    "aws:sns/topicSubscription:TopicSubscription": AwsType(
        "{topic}:{uuid}", replaces="endpoint protocol topic", refers={"topic": _TOPIC}, outputs={"arn": "{id}"},
    ),
    "aws:budgets/budget:Budget": AwsType(
        "{account}:{name}", "name", "accountId name namePrefix", {"notifications[].subscriberSnsTopicArns[]": _TOPIC},
        {"arn": "arn:aws:budgets::{account}:budget/{name}"},
    ),
    "aws:backup/vault:Vault": _named("backup", "backup-vault:{name}", "kmsKeyArn name", {"kmsKeyArn": _KEY_ARN}),
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration": AwsType(
        # terraform-provider-aws backup vault_lock_configuration.go: there is no update, all four force a new one.
        "{backupVaultName}", replaces="backupVaultName changeableForDays maxRetentionDays minRetentionDays",
        refers={"backupVaultName": _VAULT},
    ),
    "aws:backup/vaultNotifications:VaultNotifications": AwsType(  # vault_notifications.go: there is no update
        "{backupVaultName}", replaces="backupVaultEvents backupVaultName snsTopicArn",
        refers={"backupVaultName": _VAULT, "snsTopicArn": _TOPIC},
    ),
    "aws:backup/plan:Plan": AwsType(
        "{uuid}",
        refers={
            "rules[].targetVaultName": _VAULT,
            "rules[].copyActions[].destinationVaultArn": "aws:backup/vault:Vault arn",
        },
        outputs={"arn": _arn("backup", "backup-plan:{id}"), "version": "{h17}"},
    ),
    "aws:backup/selection:Selection": AwsType(
        "{uuid}", replaces="iamRoleArn name planId resources",
        refers={"planId": _held("aws:backup/plan:Plan id"), "iamRoleArn": _ROLE_ARN},
    ),
    "aws:backup/restoreTestingPlan:RestoreTestingPlan": _named("backup", "restore-testing-plan:{name}", "name"),
    "aws:backup/restoreTestingSelection:RestoreTestingSelection": AwsType(
        "{name}:{restoreTestingPlanName}", "name", "name protectedResourceType restoreTestingPlanName",
        {"restoreTestingPlanName": _held("aws:backup/restoreTestingPlan:RestoreTestingPlan name"), "iamRoleArn": _ROLE_ARN},
    ),
    "aws:acm/certificate:Certificate": AwsType(
        # terraform-provider-aws acm certificate.go: ForceNew on the names, the algorithm and the method.
        "{arn}", replaces="certificateAuthorityArn domainName keyAlgorithm subjectAlternativeNames validationMethod",
        outputs={
            "arn": _arn("acm", "certificate/{uuid}"),
            "domainValidationOptions": [
                {
                    "domainName": "{domainName}", "resourceRecordName": "_{h17}.{domainName}.",
                    "resourceRecordType": "CNAME", "resourceRecordValue": "_{h17}.acm-validations.aws.",
                },
            ],
        },
    ),
    "aws:acm/certificateValidation:CertificateValidation": AwsType(
        "{uuid}", replaces="certificateArn validationRecordFqdns",
        refers={"certificateArn": "aws:acm/certificate:Certificate arn"},
    ),
    "aws:route53/record:Record": AwsType(
        "{zoneId}_{name}_{type}", replaces="name setIdentifier type zoneId", outputs={"fqdn": "{name}"},
    ),  # cfn
    "aws:wafv2/webAcl:WebAcl": AwsType(
        "{uuid}", "name", "name scope", {}, {"arn": _arn("wafv2", "regional/webacl/{name}/{id}"), "capacity": 1000},
    ),
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": AwsType(
        "{resourceArn}", replaces="resourceArn",
        refers={"resourceArn": "aws:wafv2/webAcl:WebAcl arn", "logDestinationConfigs[]": _LOG_GROUP},
    ),  # cfn
    "aws:wafv2/webAclAssociation:WebAclAssociation": AwsType(  # terraform-provider-aws wafv2 web_acl_association.go
        "{webAclArn},{resourceArn}", replaces="resourceArn webAclArn",
        refers={"webAclArn": _held("aws:wafv2/webAcl:WebAcl arn"), "resourceArn": _BALANCER},
    ),
    # terraform-provider-aws elbv2 load_balancer.go, target_group.go, listener.go. The zone is us-east-1's (ELB endpoints).
    "aws:lb/loadBalancer:LoadBalancer": AwsType(
        "{arn}", "name", "customerOwnedIpv4Pool internal loadBalancerType name namePrefix",
        {"subnets[]": _held(_SUBNET), "securityGroups[]": _held(_GROUP), "accessLogs.bucket": _BUCKET},
        {
            "arn": _arn("elasticloadbalancing", "loadbalancer/{arnSuffix}"), "arnSuffix": "app/{name}/{h8}{h8}",
            "dnsName": "{name}-{octet}.{region}.elb.amazonaws.com", "zoneId": "Z35SXDOTRQ7X7K",
        },
        protected="enableDeletionProtection",
    ),
    "aws:lb/targetGroup:TargetGroup": AwsType(
        "{arn}", "name", "name namePrefix port protocol targetType vpcId", {"vpcId": _VPC},
        {"arn": _arn("elasticloadbalancing", "{arnSuffix}"), "arnSuffix": "targetgroup/{name}/{h8}{h8}"},
    ),
    "aws:lb/listener:Listener": AwsType(
        "{arn}", replaces="loadBalancerArn",
        refers={
            "loadBalancerArn": _BALANCER, "certificateArn": _held("aws:acm/certificate:Certificate arn"),
            "defaultActions[].targetGroupArn": _held("aws:lb/targetGroup:TargetGroup arn"),
        },
        outputs={"arn": _arn("elasticloadbalancing", "listener/app/{h12}/{h8}{h8}/{h17}")},
    ),
}  # fmt: skip
