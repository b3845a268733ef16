"""What of each resource decides its price: read from a graph, or as the program recorded it in its ``billing`` output.

Both pass through ``facts_of``, so that a graph and the stack's outputs cannot tell two stories.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from stacks.graph import UNKNOWN, Graph, Resource

VERSION = 1  # of the billing output; another one is refused
AWS = "pulumi:providers:aws"
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Billed:
    """A resource that may cost something. A fact that only the cloud will know is left out."""

    urn: str
    type: str
    region: str
    facts: Facts

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[-1]


@dataclass(frozen=True)
class Reading:
    """Which inputs of a type are read, and the facts made of them."""

    inputs: tuple[str, ...]
    facts: Callable[[Mapping[str, Any]], Facts]


def _plainly(*names: str) -> Reading:
    return Reading(names, lambda inputs: {name: inputs.get(name) for name in names})


def _cluster(inputs: Mapping[str, Any]) -> Facts:
    return {"version": inputs.get("version"), "support": _at(inputs, "upgradePolicy", "supportType") or "EXTENDED"}


def _node_group(inputs: Mapping[str, Any]) -> Facts:
    scaling: Mapping[str, Any] = inputs.get("scalingConfig") or {}
    return {
        "instanceTypes": inputs.get("instanceTypes"),
        "capacity": (inputs.get("capacityType") or "ON_DEMAND").lower().replace("_", "-"),
        "leastNodes": scaling.get("minSize"),
        "nodes": scaling.get("desiredSize"),
        "mostNodes": scaling.get("maxSize"),
        "diskGib": inputs.get("diskSize"),
        "ownTemplate": "launchTemplate" in inputs,
    }


def _pool(inputs: Mapping[str, Any]) -> Facts:
    template: Mapping[str, Any] = _at(inputs, "spec", "template", "spec") or {}
    wanted = {row["key"]: row.get("values") for row in template.get("requirements") or ()}
    return {
        "instanceTypes": wanted.get("node.kubernetes.io/instance-type"),
        "capacity": (wanted.get("karpenter.sh/capacity-type") or ["on-demand"])[0],
        "mostNodes": int(_at(inputs, "spec", "limits", "nodes") or 0),
        "nodeClass": _at(template, "nodeClassRef", "name"),
    }


def _volumes(mappings: Any) -> list[Facts]:
    disks: list[Mapping[str, Any]] = [row.get("ebs") or {} for row in mappings or ()]
    return [{"gib": int(str(d.get("volumeSize")).removesuffix("Gi")), "type": d.get("volumeType")} for d in disks]


def _node_class(inputs: Mapping[str, Any]) -> Facts:
    name, mappings = _at(inputs, "metadata", "name"), _at(inputs, "spec", "blockDeviceMappings")
    return {"name": name, "volumes": _volumes(mappings)}


def _load_balancer(inputs: Mapping[str, Any]) -> Facts:
    subnets = inputs.get("subnets") or inputs.get("subnetMappings") or ()
    kind = inputs.get("loadBalancerType") or "application"
    return {"type": kind, "internal": bool(inputs.get("internal")), "zones": len(subnets)}


def _endpoint(inputs: Mapping[str, Any]) -> Facts:
    kind = inputs.get("vpcEndpointType") or "Gateway"
    return {"type": kind, "zones": len(inputs.get("subnetIds") or ()), "service": inputs.get("serviceName")}


def _cache(inputs: Mapping[str, Any]) -> Facts:
    shards, replicas = inputs.get("numNodeGroups"), inputs.get("replicasPerNodeGroup")
    nodes = shards * (1 + (replicas or 0)) if shards else inputs.get("numCacheClusters", 1)
    return {
        "nodeType": inputs.get("nodeType"),
        "nodes": nodes,
        "engine": inputs.get("engine") or "redis",
        "snapshotDays": inputs.get("snapshotRetentionLimit") or 0,
    }


def _cron_job(inputs: Mapping[str, Any]) -> Facts:
    return {"schedule": _at(inputs, "spec", "schedule")}


def _schedule(inputs: Mapping[str, Any]) -> Facts:
    return {"schedule": inputs.get("scheduleExpression")}


def _alarm(inputs: Mapping[str, Any]) -> Facts:
    queried = [row for row in inputs.get("metricQueries") or () if row.get("metric")]
    return {"metrics": len(queried) or 1}


def _firewall(inputs: Mapping[str, Any]) -> Facts:
    return {"rules": len(inputs.get("rules") or ())}


_NOTHING = Reading((), lambda _: {})  # its type alone decides

READINGS: Mapping[str, Reading] = {
    "aws:eks/cluster:Cluster": Reading(("version", "upgradePolicy"), _cluster),
    "aws:eks/nodeGroup:NodeGroup": Reading(
        ("instanceTypes", "capacityType", "scalingConfig", "diskSize", "launchTemplate"), _node_group
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": Reading(
        ("blockDeviceMappings",), lambda inputs: {"volumes": _volumes(inputs.get("blockDeviceMappings"))}
    ),
    "aws:ec2/vpc:Vpc": _NOTHING,
    "aws:ec2/natGateway:NatGateway": _NOTHING,
    "aws:ec2/eip:Eip": _NOTHING,
    "aws:ec2/vpcEndpoint:VpcEndpoint": Reading(("vpcEndpointType", "subnetIds", "serviceName"), _endpoint),
    "aws:lb/loadBalancer:LoadBalancer": Reading(
        ("loadBalancerType", "internal", "subnets", "subnetMappings"), _load_balancer
    ),
    "aws:rds/instance:Instance": _plainly(
        "instanceClass",
        "engine",
        "engineVersion",
        "multiAz",
        "allocatedStorage",
        "storageType",
        "iops",
        "backupRetentionPeriod",
        "databaseInsightsMode",
        "engineLifecycleSupport",
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": Reading(
        ("nodeType", "numCacheClusters", "numNodeGroups", "replicasPerNodeGroup", "engine", "snapshotRetentionLimit"),
        _cache,
    ),
    "aws:kms/key:Key": _NOTHING,
    "aws:secretsmanager/secret:Secret": _NOTHING,
    "aws:s3/bucket:Bucket": _NOTHING,
    "aws:ecr/repository:Repository": _NOTHING,
    "aws:cloudwatch/logGroup:LogGroup": _plainly("retentionInDays"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Reading(("metricQueries",), _alarm),
    "aws:wafv2/webAcl:WebAcl": Reading(("rules",), _firewall),
    "aws:backup/vault:Vault": _NOTHING,
    "aws:backup/restoreTestingPlan:RestoreTestingPlan": _NOTHING,
    "aws:sns/topic:Topic": _NOTHING,
    "aws:sqs/queue:Queue": _NOTHING,
    # Free, and read for the hours that nodes run.
    "aws:scheduler/schedule:Schedule": Reading(("scheduleExpression",), _schedule),
    "kubernetes:batch/v1:CronJob": Reading(("spec",), _cron_job),
    "kubernetes:karpenter.sh/v1:NodePool": Reading(("spec",), _pool),
    "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass": Reading(("metadata", "spec"), _node_class),
}

# Types for which AWS asks nothing by themselves; what flows through them is on another line.
FREE = frozenset({
    "aws:acm/certificate:Certificate", "aws:acm/certificateValidation:CertificateValidation",
    "aws:backup/plan:Plan", "aws:backup/restoreTestingSelection:RestoreTestingSelection", "aws:backup/selection:Selection",
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration", "aws:backup/vaultNotifications:VaultNotifications",
    "aws:budgets/budget:Budget", "aws:cloudwatch/eventRule:EventRule", "aws:cloudwatch/eventTarget:EventTarget",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "aws:ec2/flowLog:FlowLog",
    "aws:ec2/internetGateway:InternetGateway", "aws:ec2/route:Route", "aws:ec2/routeTable:RouteTable",
    "aws:ec2/routeTableAssociation:RouteTableAssociation", "aws:ec2/securityGroup:SecurityGroup",
    "aws:ec2/subnet:Subnet", "aws:ec2/tag:Tag", "aws:eks/accessEntry:AccessEntry",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation", "aws:eks/addon:Addon",
    # What nodes pulled through is stored: docs/cost.md.
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule", "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation", "aws:elasticache/parameterGroup:ParameterGroup",
    "aws:elasticache/subnetGroup:SubnetGroup", "aws:elasticache/user:User", "aws:elasticache/userGroup:UserGroup",
    "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy", "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:kms/alias:Alias", "aws:lb/listener:Listener", "aws:lb/targetGroup:TargetGroup",
    "aws:rds/parameterGroup:ParameterGroup", "aws:route53/record:Record", "aws:rds/subnetGroup:SubnetGroup",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls", "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning", "aws:sns/topicPolicy:TopicPolicy",
    "aws:sns/topicSubscription:TopicSubscription", "aws:sqs/queuePolicy:QueuePolicy",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "aws:wafv2/webAclAssociation:WebAclAssociation",
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration",
})  # fmt: skip


def is_billed(type_: str) -> bool:
    """Whether a resource of a type belongs in the bill: one with a reading, or an AWS type that nobody has judged."""
    return type_ in READINGS or (type_.startswith("aws:") and type_ not in FREE)


def facts_of(type_: str, inputs: Mapping[str, Any]) -> Facts:
    """The facts of a resource's inputs; empty for a type without a reading, which makes it unpriced."""
    reading = READINGS.get(type_)
    return _known(reading.facts(inputs)) if reading else {}


def billed(graph: Graph) -> list[Billed]:
    """Everything of a graph that may cost something."""
    regions = {r.urn: str(r.inputs.get("region") or "") for r in graph if r.type == AWS}
    found = [resource for resource in graph if resource.custom and is_billed(resource.type)]
    home = next(iter(regions.values()), "")
    return [Billed(r.urn, r.type, _region(r, regions) or home, facts_of(r.type, r.inputs)) for r in found]


def _region(resource: Resource, regions: Mapping[str, str]) -> str:
    """The resource's own region before its provider's: pulumi-aws 7 has the input on all of them."""
    own = resource.inputs.get("region")
    return own if isinstance(own, str) else regions.get(resource.options.provider, "")


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = cast("Mapping[str, Any]", value).get(key) if isinstance(value, Mapping) else None
    return value


def _known(value: Any) -> Any:
    """Without what is unknown or absent: an output of a stack keeps neither."""
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {key: _known(item) for key, item in items if item is not None and item is not UNKNOWN}
    if isinstance(value, list):
        return [_known(item) for item in cast("list[Any]", value)]
    return value
