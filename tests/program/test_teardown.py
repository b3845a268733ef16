"""One lever opens every gate against deletion, or none: and a gate that it misses is found here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stacks.graph import Graph, Resource
from tests.environments import graph_of

# Every input by which a resource of ours can resist deletion, and the value with which it does not.
GATES: dict[str, tuple[Any, ...]] = {
    "deletionProtection": (False, None),
    "skipFinalSnapshot": (True,),
    "forceDestroy": (True,),
    "recoveryWindowInDays": (0,),
    "deleteAutomatedBackups": (True,),
    "finalSnapshotIdentifier": (None,),
    "disableApiTermination": (False, None),
    "preserve": (False, None),
    "deletionProtectionEnabled": (False, None),
    "enableDeletionProtection": (False, None),
}
# Locks by being there at all. Object Lock stays possible on a bucket made with it, but without a default period.
LOCKS = (
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration",
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
)
APPLIES_TO = {
    "skipFinalSnapshot": ("aws:rds/instance:Instance",),
    "forceDestroy": ("aws:s3/bucket:Bucket", "aws:backup/vault:Vault"),
    "recoveryWindowInDays": ("aws:secretsmanager/secret:Secret",),
    "deleteAutomatedBackups": ("aws:rds/instance:Instance",),
}


def shut_gates(graph: Graph) -> list[str]:
    found: list[str] = []
    for resource in graph:
        for option in ("protect", "retain_on_delete"):
            if getattr(resource.options, option):
                found.append(f"{resource.name}: {option}")
        for gate, opened in GATES.items():
            concerned = gate in resource.inputs or resource.type in APPLIES_TO.get(gate, ())
            if concerned and resource.inputs.get(gate) not in opened:
                found.append(f"{resource.name}: {gate}")
        if resource.type in LOCKS:
            found.append(f"{resource.name}: locked")
    return found


def test_prod_is_gated_at_everything_that_holds_data() -> None:
    gates = shut_gates(graph_of("prod"))
    for expected in (
        "database: protect",
        "database: deletionProtection",
        "database: skipFinalSnapshot",
        "cluster: deletionProtection",
        "load-balancer: enableDeletionProtection",
        "cache: protect",
        "network: protect",
        "keys-data: retain_on_delete",
        "storage-backups: protect",
        "storage-backups: forceDestroy",
        "storage-backups: locked",
        "backup: locked",
        "secrets-jwt-signing-key: recoveryWindowInDays",
    ):
        assert expected in gates


def test_teardown_opens_every_gate_and_dev_has_none() -> None:
    assert shut_gates(graph_of("prod", {"teardown": "true"})) == []
    assert shut_gates(graph_of("dev")) == []


def test_the_test_knows_every_gate_that_the_sdk_has_for_our_types() -> None:
    """An argument that guards against deletion, in a type we use, that is neither in GATES nor known to be none."""
    from stacks import provider_sdk as sdk

    no_gates = {
        "deletionWindowInDays",  # KMS: a period of mercy; the key is scheduled for deletion at once
        "forceDetachPolicies",
        "revokeRulesOnDelete",
        "dataProtectionConfig",  # WAF: what its logs leave out
        "protectedResourceArns",  # AWS Backup: what a restore test is about
        "protectedResourceConditions",
        "protectedResourceType",
        "forceOverwriteReplicaSecret",
        "forceUpdateVersion",
        "deleteOnTermination",
        "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic",
        "connectionTermination",
        "preserveClientIp",
        "preserveHostHeader",
    }
    words = ("deletion", "delete", "force", "protect", "finalsnapshot", "recoverywindow", "termination", "preserve")
    for stack in ("dev", "prod"):
        for type_ in {row.type for row in graph_of(stack) if row.package == "aws"}:
            for name in sdk.properties(type_):
                if any(word in name.lower() for word in words):
                    assert name in GATES or name in no_gates, f"{type_}.{name}"


# What a destroy must delete by a call of its own, because it owns something outside the cluster (a Release's hooks, a
# pool's instances, an Ingress's load balancer, a binding's targets, a claim's disk) or must end before its nodes do
# (workloads).
WORKLOADS = ("Deployment", "Rollout", "AnalysisTemplate", "Service", "PodDisruptionBudget")
OWNS_OUTSIDE = ("Ingress", "NodePool", "EC2NodeClass", "PersistentVolumeClaim", "Release", "TargetGroupBinding")


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_nothing_that_owns_something_outside_the_cluster_is_deleted_with_it(stack: str) -> None:
    graph = graph_of(stack)
    kept_apart = [row for row in graph if row.kind in OWNS_OUTSIDE]
    assert {row.kind for row in kept_apart} == {"NodePool", "EC2NodeClass", "Release", "TargetGroupBinding"}
    assert [row.name for row in kept_apart if row.options.deleted_with] == []


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_plain_objects_go_with_the_cluster_and_need_no_call(stack: str) -> None:
    graph = graph_of(stack)
    cluster = graph.one("aws:eks/cluster:Cluster").urn
    objects = [row for row in graph if row.package == "kubernetes" and row.kind not in OWNS_OUTSIDE]
    # Monitoring's namespace has claims, and with them disks.
    ours = [row for row in objects if not row.name.startswith("platform-")]
    plain: list[Resource] = [row for row in ours if row.kind not in WORKLOADS]
    assert {row.kind for row in plain} >= {"Namespace", "NetworkPolicy", "ServiceAccount"}
    assert {row.options.deleted_with for row in plain} == {cluster}
    assert not any(row.options.deleted_with for row in objects if row.kind in WORKLOADS)


def test_the_kubernetes_provider_is_bound_to_the_cluster_and_not_to_its_kubeconfig() -> None:
    graph = graph_of("dev", preview=False)
    provider = graph.one("pulumi:providers:kubernetes").inputs
    assert provider["clusterIdentifier"] == graph.one("aws:eks/cluster:Cluster").outputs["arn"]
    assert "exec" in json.dumps(json.loads(provider["kubeconfig"])["users"])


def test_no_default_provider_may_be_used() -> None:
    from tests.environments import config_of

    assert json.loads(config_of("prod")["pulumi:disable-default-providers"]) == ["*"]
