"""Whatever settings pass the rules, the graph they give is sound."""

from __future__ import annotations

import json
import re
from functools import cache
from ipaddress import IPv4Network
from itertools import combinations
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, reject
from hypothesis import settings as effort
from hypothesis import strategies as st

from infra.problems import SettingsError
from stacks import provider_sdk
from stacks.graph import Graph, Resource
from tests.environments import graph_of, settings_of

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d")

# How the SDK calls a place for a customer's key: kmsKeyId, kmsMasterKeyId, masterUserSecretKmsKeyId, EKS's keyArn, …
NAMES_A_KEY = re.compile(r"(\w*[kK]ms\w*K|k)ey(Id|Arn)")
# Places that stay empty, and why nothing lies there without our key.
NO_KEY_NEEDED = {
    (
        "aws:s3/bucket:Bucket",
        "replicationConfiguration",
    ): "buckets are not replicated: AWS Backup copies what must survive",
    ("aws:s3/bucket:Bucket", "serverSideEncryptionConfiguration"): "a resource of its own; every bucket must have one",
    ("aws:secretsmanager/secret:Secret", "replicas"): "entries are not replicated",
}
# Encrypted with keys of AWS, and the page that says why ours will not do.
AWS_KEYS = {
    "storage-access-logs": "load balancer access logs take SSE-S3 only (ELB guide, enable-access-logging)",
    "provisioning": "EventBridge needs a key policy of its own for SQS; SSE-SQS needs none (Karpenter's template)",
}
NAME_LIMITS = {
    "aws:s3/bucket:Bucket": ("bucket", 63),
    "aws:sqs/queue:Queue": ("name", 80),
    "aws:rds/instance:Instance": ("identifier", 63),
    "aws:elasticache/replicationGroup:ReplicationGroup": ("replicationGroupId", 40),
    "aws:elasticache/userGroup:UserGroup": ("userGroupId", 40),
    "aws:elasticache/user:User": ("userId", 40),
    "aws:eks/cluster:Cluster": ("name", 100),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("name", 255),
    "aws:sns/topic:Topic": ("name", 256),
    "aws:kms/alias:Alias": ("name", 256),
    "aws:secretsmanager/secret:Secret": ("name", 512),
    "aws:budgets/budget:Budget": ("name", 100),
    "aws:backup/vault:Vault": ("name", 50),
    "aws:scheduler/schedule:Schedule": ("name", 64),
    "aws:backup/restoreTestingPlan:RestoreTestingPlan": ("name", 50),
}
AUTO_NAME_LIMITS = {
    "aws:iam/role:Role": 64,
    "aws:rds/subnetGroup:SubnetGroup": 255,
    "aws:ec2/launchTemplate:LaunchTemplate": 128,
    "aws:lb/loadBalancer:LoadBalancer": 32,
    "aws:lb/targetGroup:TargetGroup": 32,
}


@st.composite
def networks(draw: st.DrawFn, zones: int) -> dict[str, Any]:
    """A VPC of any private range, cut into blocks that hold the pods."""
    octet = draw(st.integers(0, 255))
    names = draw(st.permutations(ZONES))[:zones]
    vpc = IPv4Network(f"10.{octet}.0.0/16")
    privates = list(vpc.subnets(new_prefix=19))[1:]
    smalls = list(next(vpc.subnets(new_prefix=19)).subnets(new_prefix=24))
    order = draw(st.permutations(smalls))
    rows = [
        {"name": name, "private": str(privates[i]), "public": str(order[3 * i]), "data": str(order[3 * i + 1]), "endpoints": str(order[3 * i + 2])}
        for i, name in enumerate(names)
    ]  # fmt: skip
    return {"cidr": str(vpc), "zones": rows, "natGateways": draw(st.sampled_from(["one", "perZone"]))}


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A shipped environment with many settings moved."""
    stack = draw(st.sampled_from(["dev", "prod"]))
    network = draw(networks(draw(st.integers(2 if stack == "dev" else 3, 4))))
    if stack == "prod":
        network["natGateways"] = "perZone"
    network["interfaceEndpoints"] = draw(st.lists(st.sampled_from(["sts", "logs", "ecr.api", "eks"]), unique=True))
    evicting = {"nodeType": "cache.t4g.small", "replicas": draw(st.integers(0, 2))}
    return stack, {
        "network": network,
        "cluster.publicEndpoint": draw(st.booleans()),
        "cluster.logRetentionDays": draw(st.sampled_from([7, 30, 365])),
        "database.instanceClass": draw(st.sampled_from(["db.m7g.large", "db.r7g.xlarge", "db.r7g.2xlarge"])),
        "database.poolSize": draw(st.integers(1, 12)),
        "cache.replicas": draw(st.integers(1, 3)),
        "cache.multiAz": True if stack == "prod" else draw(st.booleans()),
        "cache.lru": evicting if stack == "prod" or draw(st.booleans()) else None,
        "service.workers.maxReplicas": draw(st.integers(10, 40)),
        "backup": {"enabled": True if stack == "prod" else draw(st.booleans()), "copyRegion": "eu-west-1"},
        "secrets": {"entries": draw(st.lists(st.sampled_from(["a", "b/c", "jwt"]), unique=True))},
        "ingress": {"host": "a.example.com", "zoneId": "Z1"} if stack == "prod" or draw(st.booleans()) else {},
        "alerts": {"emails": ["a@example.com"]},
        "teardown": draw(st.sampled_from(["true", "false"])),
    }


ACCEPTED = 8  # graphs of accepted settings; each takes one to three seconds


def test_any_accepted_settings_give_a_sound_graph() -> None:
    accepted = 0

    @effort(max_examples=ACCEPTED, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
    @given(changes())
    def sound(changed: tuple[str, dict[str, Any]]) -> None:
        nonlocal accepted
        stack, settings = changed
        try:
            settings_of(stack, settings)
        except SettingsError:
            reject()
        graph = graph_of(stack, settings, preview=False)
        subnets_do_not_overlap(graph)
        every_reference_resolves(graph)
        only_the_load_balancer_is_open_to_the_world(graph)
        every_store_uses_a_key_of_ours(graph)
        every_name_is_within_its_limit(graph)
        accepted += 1

    sound()
    # Hypothesis gives up on finding more without a word: rules that refuse nearly all would leave nothing tested.
    assert accepted >= ACCEPTED


def subnets_do_not_overlap(graph: Graph) -> None:
    blocks = [IPv4Network(row.inputs["cidrBlock"]) for row in graph.of_type("aws:ec2/subnet:Subnet")]
    assert not any(one.overlaps(other) for one, other in combinations(blocks, 2))


def every_reference_resolves(graph: Graph) -> None:
    """By the embedded cloud's own table of what refers to what."""
    from stacks.embedded.aws import _references  # pyright: ignore[reportPrivateUsage] - one table of references is enough
    from stacks.embedded.aws_types import TYPES

    @cache
    def values(type_: str, attribute: str) -> set[Any]:
        return {row.id if attribute == "id" else row.outputs.get(attribute) for row in graph.of_type(type_)}

    for resource in graph:
        if resource.package == "aws":
            for path, value, type_, attribute in _references(TYPES[resource.type], resource.inputs):
                assert value is None or value in values(type_, attribute), f"{resource.name}.{path}={value}"


def only_the_load_balancer_is_open_to_the_world(graph: Graph) -> None:
    balancer = graph.one("aws:lb/loadBalancer:LoadBalancer").inputs
    for rule in graph.of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"):
        assert not rule.inputs.get("cidrIpv6"), rule.name
        if str(rule.inputs.get("cidrIpv4", "")).endswith("/0"):
            assert not balancer["internal"], rule.name
            assert [rule.inputs["securityGroupId"]] == balancer["securityGroups"], rule.name
            assert (rule.inputs["fromPort"], rule.inputs["toPort"]) in {(443, 443), (80, 80)}, rule.name


@cache
def places_of_keys(type_: str) -> list[str]:
    """The dotted properties of a type in which the SDK lets a customer name a key."""
    exempt = [path for exempted, path in NO_KEY_NEEDED if exempted == type_]
    return [
        path
        for path in provider_sdk.paths(type_)
        if NAMES_A_KEY.fullmatch(path.rsplit(".", 1)[-1]) and not any(path.startswith(f"{start}.") for start in exempt)
    ]


def values_at(value: Any, path: str) -> list[Any]:
    """What stands at a dotted path, through lists; [None] where it ends early."""
    if isinstance(value, list):
        return [found for item in cast("list[Any]", value) for found in values_at(item, path)] or [None]
    if not path or not isinstance(value, dict):
        return [None if path else value]
    head, _, rest = path.partition(".")
    return values_at(cast("dict[str, Any]", value).get(head), rest)


def every_store_uses_a_key_of_ours(graph: Graph) -> None:
    keys = {row.outputs["arn"] for row in graph.of_type("aws:kms/key:Key")}
    checked: set[str] = set()
    for resource in graph:
        if resource.package != "aws" or resource.name in AWS_KEYS:
            continue
        for path in places_of_keys(resource.type):
            assert set(values_at(dict(resource.inputs), path)) <= keys, f"{resource.name}.{path}"
            checked.add(resource.type)
    assert len(checked) >= 8
    settled = graph.of_type("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
    assert {row.inputs["bucket"] for row in settled} == {row.id for row in graph.of_type("aws:s3/bucket:Bucket")}
    node_class = graph.one("kubernetes:karpenter.k8s.aws/v1:EC2NodeClass").inputs["spec"]
    assert node_class["blockDeviceMappings"][0]["ebs"]["kmsKeyID"] in keys


def test_the_exceptions_from_our_keys_are_still_needed() -> None:
    for type_, path in NO_KEY_NEEDED:
        below = [place for place in provider_sdk.paths(type_) if place.startswith(f"{path}.")]
        assert any(NAMES_A_KEY.fullmatch(place.rsplit(".", 1)[-1]) for place in below), (type_, path)
    graph = graph_of("prod", preview=False)
    for name in AWS_KEYS:
        excepted = [row for row in graph if row.name == name and row.package == "aws" and places_of_keys(row.type)]
        assert excepted, name
        for row in excepted:
            assert all(set(values_at(dict(row.inputs), path)) == {None} for path in places_of_keys(row.type)), name


def every_name_is_within_its_limit(graph: Graph) -> None:
    for resource in graph:
        if resource.type in NAME_LIMITS:
            key, most = NAME_LIMITS[resource.type]
            assert len(resource.inputs[key]) <= most, f"{resource.name}.{key}"
        elif resource.type in AUTO_NAME_LIMITS:
            assert len(resource.name) + 8 <= AUTO_NAME_LIMITS[resource.type], resource.name


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_every_bucket_is_private_versioned_and_takes_tls_only(stack: str) -> None:
    graph = graph_of(stack)
    buckets = {row.inputs["bucket"] for row in graph.of_type("aws:s3/bucket:Bucket")}
    assert len(buckets) == 3

    def of_kind(kind: str) -> dict[str, Resource]:
        return {row.inputs["bucket"]: row for row in graph.of_type(f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}")}

    blocks, versions, policies = (
        of_kind("BucketPublicAccessBlock"),
        of_kind("BucketVersioning"),
        of_kind("BucketPolicy"),
    )
    for bucket in buckets:
        flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        assert all(blocks[bucket].inputs[flag] for flag in flags)
        assert versions[bucket].inputs["versioningConfiguration"] == {"status": "Enabled"}
        deny = json.loads(policies[bucket].inputs["policy"])["Statement"][0]
        assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_no_policy_of_ours_allows_every_action_or_a_whole_service(stack: str) -> None:
    for policy in graph_of(stack, preview=False).of_type("aws:iam/rolePolicy:RolePolicy"):
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            if statement["Effect"] == "Allow":
                assert not any(action == "*" or action.endswith(":*") for action in actions), policy.name


# Allow statements on every resource: the calls, and why no resource can be named (AWS service authorization reference).
WILDCARD_RESOURCES = {
    "provisioning-controller-discovery": "EC2 Describe, Price List and ListInstanceProfiles know no resource",
    "workloads-load-balancer-controller-targets": "Describe calls know no resource",
    "workloads-trace-collector-traces": "X-Ray's segments and sampling know no resource",
}


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_wildcard_resource_stands_only_where_its_reason_is_written_down(stack: str) -> None:
    found: set[str] = set()
    for policy in graph_of(stack, preview=False).of_type("aws:iam/rolePolicy:RolePolicy"):
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            if statement["Effect"] == "Allow" and statement["Resource"] == "*":
                found.add(policy.name)
    assert found == set(WILDCARD_RESOURCES)


def test_no_secret_value_is_ever_an_input() -> None:
    for stack in ("dev", "prod"):
        graph = graph_of(stack, preview=False)
        types = {resource.type for resource in graph}
        assert not {
            t for t in types if "SecretVersion" in t or "randomPassword" in t or t == "kubernetes:core/v1:Secret"
        }
        for resource in graph:
            assert not {"password", "authToken", "passwords", "masterPassword"} & set(resource.inputs), resource.urn


def test_a_mounted_secret_reaches_the_pod_and_its_role_and_no_other_does() -> None:
    graph = graph_of(
        "dev", {"secrets": {"entries": ["jwt-signing-key", "other"], "mounted": ["jwt-signing-key"]}}, preview=False
    )
    arns = {row.inputs["name"]: row.outputs["arn"] for row in graph.of_type("aws:secretsmanager/secret:Secret")}
    role = json.loads(graph.one("aws:iam/rolePolicy:RolePolicy", "workloads-service-service").inputs["policy"])
    readable = role["Statement"][0]["Resource"]
    assert arns["agents-dev/jwt-signing-key"] in readable
    assert arns["agents-dev/other"] not in readable
    provider = graph.one("kubernetes:secrets-store.csi.x-k8s.io/v1:SecretProviderClass", "agent-secrets").inputs["spec"]
    files = {row["objectAlias"] for row in json.loads(provider["parameters"]["objects"])}
    assert files == {"database-password", "jwt-signing-key"}
