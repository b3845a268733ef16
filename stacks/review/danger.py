"""What in a change may lose data, interrupt the service, or be refused: by type of resource, operation and property."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from stacks.review.changes import OPERATIONS, Change, Property

LOSS, OUTAGE, INTERRUPTION = "data loss", "outage", "interruption"
_GRAVITY = (LOSS, OUTAGE, INTERRUPTION)

# What goes with the old one when it is replaced or deleted.
_DATA: Final = {
    "aws:rds/instance:Instance": "the database: what is in it goes, except for snapshots",
    "aws:elasticache/replicationGroup:ReplicationGroup": "streams and cached entries of the group",
    "aws:s3/bucket:Bucket": "the objects; a bucket that is not empty stops the run",
    "aws:kms/key:Key": "everything encrypted with the key, once its waiting period is over",
    "aws:secretsmanager/secret:Secret": "the secret's value; a name is free again after its recovery window",
    "aws:backup/vault:Vault": "recovery points; a locked vault or one that holds any stops the run",
    "aws:cloudwatch/logGroup:LogGroup": "the logs in it",
    "aws:ecr/repository:Repository": "the images, which running pods may need again",
    "kubernetes:core/v1:PersistentVolumeClaim": "the volume, unless its class retains it",
    "kubernetes:apps/v1:StatefulSet": "pods with an identity; their claims stay",
    "kubernetes:core/v1:Namespace": "everything in the namespace",
    "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": "every object of its kind",
}
_SERVING: Final = {
    "aws:eks/cluster:Cluster": "the control plane and everything that runs on it",
    "aws:eks/nodeGroup:NodeGroup": "the nodes: their pods move to new ones, or wait for them",
    "aws:ec2/vpc:Vpc": "the network, and everything in it",
    "aws:ec2/subnet:Subnet": "what has an address in the subnet",
    "aws:ec2/natGateway:NatGateway": "the way out; its public address changes",
    "aws:lb/loadBalancer:LoadBalancer": "the address of the service until DNS follows",
    "aws:lb/targetGroup:TargetGroup": "the service's targets until they register again",
    "aws:lb/listener:Listener": "connections through the listener",
    "pulumi:providers:kubernetes": "every object of the cluster; check cluster_identifier before believing it",
    "kubernetes:helm.sh/v3:Release": "what the chart runs",
}
# Updates in place that interrupt. RDS: user guide, "Settings for DB instances", column "downtime occurs"; ElastiCache:
# user guide, "Scaling replication groups" and "Engine upgrades" (a failover); EKS: user guide, "Update existing cluster".
_INTERRUPTING: Final = {
    ("aws:rds/instance:Instance", "instanceClass"): "restart of some minutes; with Multi-AZ a failover of 60-120 s",
    ("aws:rds/instance:Instance", "engineVersion"): "the database is away during the upgrade",
    ("aws:rds/instance:Instance", "parameterGroupName"): "static parameters wait for a restart",
    ("aws:rds/instance:Instance", "storageType"): "a short interruption when the change begins",
    ("aws:rds/instance:Instance", "port"): "restart, and every client must follow",
    (
        "aws:elasticache/replicationGroup:ReplicationGroup",
        "nodeType",
    ): "a failover; without a replica the group is away",
    ("aws:elasticache/replicationGroup:ReplicationGroup", "engineVersion"): "a failover; without a replica it is away",
    ("aws:eks/cluster:Cluster", "version"): "control plane in place, no way back; nodes and add-ons follow",
    ("aws:eks/nodeGroup:NodeGroup", "version"): "nodes are replaced a few at a time, pods move",
    ("aws:eks/nodeGroup:NodeGroup", "releaseVersion"): "nodes are replaced a few at a time, pods move",
    ("aws:eks/nodeGroup:NodeGroup", "launchTemplate"): "nodes are replaced a few at a time, pods move",
}


@dataclass(frozen=True)
class Danger:
    """A change that a reviewer must have seen."""

    change: Change
    downtime: str  # LOSS, OUTAGE or INTERRUPTION
    effect: str
    causes: tuple[Property, ...]
    refused: str = ""  # why the run would stop at it


def dangers(changes: Iterable[Change]) -> list[Danger]:
    """The dangerous ones, the gravest first."""
    found = [danger for change in changes if (danger := _danger(change))]
    return sorted(
        found, key=lambda row: (_GRAVITY.index(row.downtime), OPERATIONS.index(row.change.operation), row.change.urn)
    )


def _danger(change: Change) -> Danger | None:
    if change.operation == "update":
        return _interruption(change)
    if change.operation not in ("replace", "delete"):
        return None
    refused = "protected: the engine refuses it until the protection is taken off" if change.protected else ""
    causes = tuple(row for row in change.properties if row.replaces)
    if change.type in _DATA:
        lost = "the resource leaves the stack and stays in the cloud" if _left(change) else _DATA[change.type]
        return Danger(change, INTERRUPTION if _left(change) else LOSS, lost, causes, refused)
    if change.type in _SERVING:
        away = change.operation == "delete" or change.delete_first
        how = "away until the new one is there" if change.delete_first else "the new one comes before the old one goes"
        effect = _SERVING[change.type] + (f" ({how})" if change.operation == "replace" else "")
        return Danger(change, OUTAGE if away else INTERRUPTION, effect, causes, refused)
    return Danger(change, INTERRUPTION, "a protected resource", causes, refused) if change.protected else None


def _left(change: Change) -> bool:
    return change.operation == "delete" and change.retained


def _interruption(change: Change) -> Danger | None:
    by_effect = {
        effect: [row for row in change.properties if row.path.split(".")[0].split("[")[0] == name]
        for (type_, name), effect in _INTERRUPTING.items()
        if type_ == change.type
    }
    told = {effect: rows for effect, rows in by_effect.items() if rows}
    if not told:
        return None
    causes = tuple(row for rows in told.values() for row in rows)
    return Danger(change, INTERRUPTION, "; ".join(told), causes)
