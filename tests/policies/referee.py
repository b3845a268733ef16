"""An independent referee: checkov judges our resources, as shipped and with one mistake each, beside our own checks."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from policies.check import Check, Status, Verdict
from policies.workload_parts import name_of, namespace_of
from stacks.graph import UNKNOWN, Graph, Resource, Secret

# Terraform's name of a Pulumi type (registry.terraform.io, hashicorp/aws).
TERRAFORM = {
    "aws:eks/cluster:Cluster": "aws_eks_cluster",
    "aws:ec2/launchTemplate:LaunchTemplate": "aws_launch_template",
    "aws:ec2/subnet:Subnet": "aws_subnet",
    "aws:lb/loadBalancer:LoadBalancer": "aws_lb",
    "aws:lb/listener:Listener": "aws_lb_listener",
    "aws:rds/instance:Instance": "aws_db_instance",
    "aws:elasticache/replicationGroup:ReplicationGroup": "aws_elasticache_replication_group",
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
SINGULAR = {"default_actions": "default_action", "encryption_configurations": "encryption_configuration"}


def terraform(resource: Resource, name: str) -> dict[str, Any]:
    """A planned resource of Terraform's JSON."""
    type_ = TERRAFORM[resource.type]
    values = cast("dict[str, Any]", _blocks(resource.inputs))
    change: dict[str, Any] = {"actions": ["create"], "before": None, "after": values, "after_unknown": {}}
    common = {"address": f"{type_}.{name}", "mode": "managed", "type": type_, "name": name}
    return {"values": {**common, "values": values}, "change": {**common, "change": change}}


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
            snake = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match[1].lower()}", name)
            made[SINGULAR.get(snake, snake)] = _blocks(item, snake)
        return [made] if key else made
    if isinstance(value, (list, tuple)):
        items = [_blocks(item, key) for item in cast("list[Any]", value)]
        return [inner for item in items for inner in (cast("list[Any]", item) if isinstance(item, list) else [item])]
    return value


def write(folder: Path, named: Mapping[str, Resource]) -> None:
    """A plan of the AWS resources and a manifest for each Kubernetes object, under the names given."""
    planned = [terraform(resource, name) for name, resource in named.items() if resource.type in TERRAFORM]
    plan: dict[str, Any] = {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": [row["values"] for row in planned]}},
        "resource_changes": [row["change"] for row in planned],
        "configuration": {"root_module": {"resources": []}},
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "manifests").mkdir()
    for name, resource in named.items():
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
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
        report: Any = json.loads(done.stdout)
        parts: list[Any] = [report] if isinstance(report, dict) else report
        for part in parts:
            for kind, passed in (("passed_checks", True), ("failed_checks", False)):
                for row in part["results"].get(kind, []):
                    key = (str(row["check_id"]), str(row["resource"]).rpartition(".")[2])
                    found[key] = found.get(key, True) and passed
    return found


def counterparts(check: Check) -> Iterator[str]:
    """The checks of checkov's with the same idea; those over several resources (CKV2) need Terraform's references."""
    return (reference for reference in check.references if re.match(r"CKV_(AWS|K8S)_\d+$", reference))


def ours(verdicts: Iterable[Verdict], urn: str) -> bool | None:
    """Whether a resource passes; None where it was not judged."""
    mine = {verdict.status for verdict in verdicts if verdict.urn == urn} - {Status.NOT_APPLICABLE}
    return None if not mine or Status.NOT_EVALUATED in mine else Status.FAIL not in mine


def named(graph: Graph, suffix: str = "") -> dict[str, Resource]:
    """The resources that a referee can judge, by a name that is theirs alone."""
    return {
        f"{resource.kind.lower()}-{resource.name.replace('.', '-')}{suffix}": resource
        for resource in graph
        if resource.type in TERRAFORM
        or (resource.package == "kubernetes" and name_of(resource) and namespace_of(resource))
    }
