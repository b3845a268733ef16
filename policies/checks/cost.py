"""Cost, tags and residency: what is spent, for whom, and where data may be."""

from __future__ import annotations

import json
from typing import Any, cast

from policies.check import Subject, check
from policies.links import linking
from policies.properties import NotEvaluated, Properties
from stacks.graph import Resource

PROVIDER = "pulumi:providers:aws"
BUDGET = "aws:budgets/budget:Budget"


def json_of(properties: Properties, key: str) -> dict[str, Any]:
    """Providers get their structured settings as JSON texts."""
    value = properties.content.get(key)
    if isinstance(value, dict):
        return value  # pyright: ignore[reportUnknownVariableType] - JSON
    return dict(properties.document(key).content)


def tags_of(provider: Subject) -> dict[str, str]:
    return cast("dict[str, str]", json_of(provider.properties, "defaultTags").get("tags") or {})


def with_tags(provider: Subject) -> dict[str, str]:
    """Each missing tag with a value that is seen on the bill for what it is."""
    missing = {tag: "unset" for tag in provider.parameters["tags"] if not tags_of(provider).get(tag)}
    return {"defaultTags": json.dumps({"tags": tags_of(provider) | missing})}


@check(
    "tags-required",
    "Everything carries the tags by which it is found and billed",
    severity="medium",
    types=(PROVIDER,),
    remedy="Set tags in Pulumi.<stack>.yaml; the provider gives them to every resource.",
    controls={"SOC 2": ("CC6.1",)},
    parameters={"tags": ["environment", "owner", "service", "cost-center"]},
    mend=with_tags,
)
def required(provider: Subject) -> str | None:
    """What nobody owns nobody turns off, patches or pays for knowingly."""
    missing = [tag for tag in provider.parameters["tags"] if not tags_of(provider).get(tag)]
    return f"defaultTags lacks {', '.join(missing)}" if missing else None


@check(
    "account-named",
    "The provider works in the named account only",
    severity="high",
    types=(PROVIDER,),
    remedy="Set account.id.",
    controls={"SOC 2": ("CC6.1",)},
)
def account_named(provider: Subject) -> str | None:
    """With the wrong profile in the shell an up builds production in somebody's sandbox, or the other way round."""
    return None if provider.properties.has("allowedAccountIds") else "allowedAccountIds is not set"


@check(
    "region-allowed",
    "Data stays in the allowed regions",
    severity="high",
    types=(PROVIDER,),
    remedy="Choose an allowed region, or allow this one in policies/config.",
    controls={"SOC 2": ("CC6.7",)},
    parameters={"regions": ["us-east-1", "us-west-2"]},
)
def region_allowed(provider: Subject) -> str | None:
    """Where data may be is promised to users before anybody writes code."""
    region = provider.properties.text("region")
    return None if region in provider.parameters["regions"] else f"region is {region or 'not set'}"


def regional(resource: Resource) -> list[Properties]:
    """Since pulumi-aws 7 any resource may name a region of its own, past its provider's."""
    properties = Properties(resource.inputs)
    return [properties] if resource.package == "aws" and properties.has("region") else []


@check(
    "region-of-resource-allowed",
    "No resource leaves its provider's region",
    severity="high",
    types=("aws:*",),
    subjects=regional,
    remedy="Remove region from the resource, or allow it.",
    controls={"SOC 2": ("CC6.7",)},
    parameters={"regions": ["us-east-1", "us-west-2"]},
)
def region_of_resource_allowed(resource: Subject) -> str | None:
    """A check of the provider alone is passed by one argument of one resource."""
    region = resource.properties.text("region")
    return None if region in resource.parameters["regions"] else f"region is {region}"


@check(
    "copies-stay-in-region",
    "Copies of data go to the allowed regions",
    severity="high",
    types=(
        "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication",
        "aws:ecr/replicationConfiguration:ReplicationConfiguration",
        "aws:s3/bucketReplicationConfig:BucketReplicationConfig",
        "aws:backup/vault:Vault",
    ),
    scope="stack",
    remedy="Copy to an allowed region, by a provider of that region.",
    controls={"SOC 2": ("CC6.7",)},
    parameters={"regions": ["us-east-1", "us-west-2"]},
)
def copies_stay(copy: Subject) -> str | None:
    """A backup in another jurisdiction is under its law."""
    for provider in copy.graph.of_type(PROVIDER):
        if provider.urn == copy.resource.options.provider:
            region = Properties(provider.inputs).text("region")
            return None if region in copy.parameters["regions"] else f"its provider's region is {region}"
    raise NotEvaluated("provider", "is not among the stack's resources")


@check(
    "budget-alerts",
    "A budget warns before and after",
    severity="medium",
    types=("aws:eks/cluster:Cluster",),
    scope="stack",
    remedy="Set budget.monthlyUsd and its alerts.",
    controls={"SOC 2": ("A1.2",)},
    references=("CLDBRN-AWS-COSTGUARDRAILS-1",),
    parameters={"minAlerts": 2},
)
def budget_alerts(cluster: Subject) -> str | None:
    """A runaway is seen on the first day, or on the invoice."""
    alerts = sum(
        len(list(Properties(budget.inputs).parts("notifications"))) for budget in cluster.graph.of_type(BUDGET)
    )
    least = cluster.parameters["minAlerts"]
    return None if alerts >= least else f"{alerts} budget alerts, fewer than {least:g}"


@check(
    "no-idle-addresses",
    "No public address is paid for and not used",
    severity="low",
    types=("aws:ec2/eip:Eip",),
    scope="stack",
    remedy="Remove it.",
    controls={"SOC 2": ("CC6.6",)},
)
def no_idle_addresses(address: Subject) -> str | None:
    """0.005 dollars an hour each, used or not."""
    used = any(linking(address.graph, address.resource, "aws:ec2/natGateway:NatGateway", "allocationId"))
    return None if used or address.properties.has("instance") else "nothing uses it"


@check(
    "database-class-allowed",
    "Data stores are of a present, sensible class",
    severity="low",
    types=("aws:rds/instance:Instance", "aws:elasticache/replicationGroup:ReplicationGroup"),
    remedy="Choose a Graviton class of the families listed.",
    controls={"SOC 2": ("A1.2",)},
    references=("CLDBRN-AWS-RDS-4",),
    parameters={"families": ["t4g", "m7g", "r7g", "m8g", "r8g"]},
)
def class_allowed(store: Subject) -> str | None:
    """Old generations cost more and do less; a size that nobody meant costs it every hour."""
    name = store.properties.text("instanceClass") or store.properties.text("nodeType") or ""
    family = name.removeprefix("db.").removeprefix("cache.").partition(".")[0]
    return None if family in store.parameters["families"] else f"{name or 'no class'} is of no listed family"
