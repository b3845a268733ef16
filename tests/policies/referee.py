"""An independent referee: checkov judges our resources, as shipped and with one mistake each, beside our own checks."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from policies.check import Check, Status, Verdict
from policies.workload_parts import name_of, namespace_of
from stacks.graph import UNKNOWN, Graph, Resource, Secret

# Terraform's name of a Pulumi type (registry.terraform.io, hashicorp/aws).
TERRAFORM = {
    "aws:eks/cluster:Cluster": "aws_eks_cluster",
    "aws:ec2/launchTemplate:LaunchTemplate": "aws_launch_template",
    "aws:ec2/vpc:Vpc": "aws_vpc",
    "aws:ec2/flowLog:FlowLog": "aws_flow_log",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "aws_default_security_group",
    "aws:ec2/subnet:Subnet": "aws_subnet",
    "aws:lb/loadBalancer:LoadBalancer": "aws_lb",
    "aws:lb/listener:Listener": "aws_lb_listener",
    "aws:wafv2/webAclAssociation:WebAclAssociation": "aws_wafv2_web_acl_association",
    "aws:rds/instance:Instance": "aws_db_instance",
    "aws:rds/parameterGroup:ParameterGroup": "aws_db_parameter_group",
    "aws:elasticache/replicationGroup:ReplicationGroup": "aws_elasticache_replication_group",
    "aws:s3/bucket:Bucket": "aws_s3_bucket",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "aws_s3_bucket_lifecycle_configuration",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "aws_s3_bucket_server_side_encryption_configuration"
    ),
    "aws:s3/bucketVersioning:BucketVersioning": "aws_s3_bucket_versioning",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "aws_s3_bucket_public_access_block",
    "aws:kms/key:Key": "aws_kms_key",
    "aws:secretsmanager/secret:Secret": "aws_secretsmanager_secret",
    "aws:cloudwatch/logGroup:LogGroup": "aws_cloudwatch_log_group",
    "aws:ecr/repository:Repository": "aws_ecr_repository",
    "aws:iam/role:Role": "aws_iam_role",
    "aws:iam/rolePolicy:RolePolicy": "aws_iam_role_policy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "aws_iam_role_policy_attachment",
}
# Pulumi puts the names of repeated blocks into the plural.
SINGULAR = {
    "parameters": "parameter",
    "rules": "rule",
    "default_actions": "default_action",
    "encryption_configurations": "encryption_configuration",
}


Named = Mapping[str, Resource]  # resources of one graph, each by a name that is its alone


def terraform(resource: Resource, name: str, names: Mapping[str, str]) -> dict[str, Any]:
    """A planned resource of Terraform's JSON, with what it refers to of the resources that `names` has by URN."""
    type_ = TERRAFORM[resource.type]
    values = cast("dict[str, Any]", _blocks(resource.inputs))
    referred = {
        _snake(property_): {"references": [names[urn] for urn in urns if urn in names]}
        for property_, urns in resource.property_dependencies.items()
    }
    # An address is known after apply only, as in a plan for a new account.
    values = {
        key: value
        for key, value in values.items()
        if not (isinstance(value, str) and referred.get(key, {}).get("references"))
    }
    change: dict[str, Any] = {"actions": ["create"], "before": None, "after": values, "after_unknown": {}}
    common = {"address": f"{type_}.{name}", "mode": "managed", "type": type_, "name": name}
    return {
        "values": {**common, "values": values},
        "change": {**common, "change": change},
        "configuration": {**common, "expressions": referred},
    }


def _blocks(value: Any, key: str = "") -> Any:
    if isinstance(value, Secret):
        value = value.value
    if isinstance(value, Mapping):
        found = cast("Mapping[str, Any]", value)
        if key.endswith("tags"):
            return dict(found)
        made: dict[str, Any] = {}
        for name, item in found.items():
            if item is None or item is UNKNOWN:
                continue
            made[_snake(name)] = _blocks(item, _snake(name))
        return [made] if key else made
    if isinstance(value, (list, tuple)):
        items = [_blocks(item, key) for item in cast("list[Any]", value)]
        return [inner for item in items for inner in (cast("list[Any]", item) if isinstance(item, list) else [item])]
    return value


def _snake(name: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match[1].lower()}", name)
    return SINGULAR.get(snake, snake)


def write(folder: Path, graphs: Sequence[Named]) -> None:
    """A plan of the AWS resources and a manifest for each Kubernetes object, under the names given."""
    planned: list[dict[str, Any]] = []
    for graph in graphs:
        known = {name: resource for name, resource in graph.items() if resource.type in TERRAFORM}
        names = {resource.urn: f"{TERRAFORM[resource.type]}.{name}" for name, resource in known.items()}
        planned += [terraform(resource, name, names) for name, resource in known.items()]
    plan: dict[str, Any] = {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": [row["values"] for row in planned]}},
        "resource_changes": [row["change"] for row in planned],
        "configuration": {"root_module": {"resources": [row["configuration"] for row in planned]}},
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "manifests").mkdir()
    for name, resource in (item for graph in graphs for item in graph.items()):
        if resource.package == "kubernetes":
            manifest = cast("dict[str, Any]", _plain(resource.inputs))
            manifest["metadata"]["name"] = name
            (folder / "manifests" / f"{name}.json").write_text(json.dumps(manifest))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[Any]", value)]
    return None if value is UNKNOWN else value


def judged_by_checkov(checkov: Path, folder: Path) -> dict[tuple[str, str], bool]:
    """Whether a resource of a name passes a check of checkov's, for those that checkov applied."""
    found: dict[tuple[str, str], bool] = {}
    for options in (
        ["--framework", "terraform_plan", "-f", str(folder / "plan.json")],
        ["--framework", "kubernetes", "-d", str(folder / "manifests")],
    ):
        command = [str(checkov), *options, "-o", "json", "--compact", "--soft-fail", "--skip-download"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
        report: Any = json.loads(done.stdout)
        parts: list[Any] = [report] if isinstance(report, dict) else report
        for part in parts:
            for kind, passed in (("passed_checks", True), ("failed_checks", False)):
                for row in part["results"].get(kind, []):
                    key = (str(row["check_id"]), str(row["resource"]).rpartition(".")[2])
                    found[key] = found.get(key, True) and passed
    return found


def counterparts(check: Check) -> Iterator[str]:
    """The checks of checkov's with the same idea; CKV2_K8S join objects by names, which are others here."""
    return (reference for reference in check.references if re.match(r"CKV_(AWS|K8S)_\d+$|CKV2_AWS_\d+$", reference))


def ours(verdicts: Iterable[Verdict], urn: str) -> bool | None:
    """Whether a resource passes; None where it was not judged."""
    mine = {verdict.status for verdict in verdicts if verdict.urn == urn} - {Status.NOT_APPLICABLE}
    return None if not mine or Status.NOT_EVALUATED in mine else Status.FAIL not in mine


def named(graph: Graph, suffix: str = "") -> dict[str, Resource]:
    """The resources that a referee can judge."""
    return {
        f"{resource.kind.lower()}-{resource.name.replace('.', '-')}{suffix}": resource
        for resource in graph
        if resource.type in TERRAFORM
        or (resource.package == "kubernetes" and name_of(resource) and namespace_of(resource))
    }


def beside(graph: Named, urns: Collection[str]) -> dict[str, Resource]:
    """The resources of these URNs, and of those a referee knows, what refers to them and what they refer to."""
    chosen = [resource for resource in graph.values() if resource.urn in urns]
    referred = {urn for resource in chosen for urn in resource.dependencies}
    return {
        name: resource
        for name, resource in graph.items()
        if resource.urn in urns or resource.urn in referred or set(resource.dependencies) & set(urns)
    }
