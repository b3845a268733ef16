"""EKS add-ons: which, in what order, with which settings."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.versions import ADD_ONS

SYSTEM_TAINT = "CriticalAddonsOnly"
SYSTEM_LABELS = {"karpenter.sh/controller": "true"}
_TOLERATION = {"key": SYSTEM_TAINT, "operator": "Exists"}


@dataclass(frozen=True)
class AddOn:
    """One add-on and its configuration, in the shape of the add-on's own JSON schema."""

    name: str
    configuration: dict[str, Any] = field(default_factory=dict[str, Any])
    deployment: tuple[str, ...] | None = None  # where in it the settings of its Deployment are


BEFORE_NODES = (
    AddOn(
        "vpc-cni",
        {
            # Policies are accepted and not enforced unless this is on.
            "enableNetworkPolicy": "true",
            "env": {
                "ENABLE_PREFIX_DELEGATION": "true",  # 110 pods a node instead of the ENI limit
                "WARM_PREFIX_TARGET": "1",
                "NETWORK_POLICY_ENFORCING_MODE": "standard",
            },
            "nodeAgent": {"enablePolicyEventLogs": "false"},  # they cost a CPU core a node
        },
    ),
    AddOn("kube-proxy"),
    AddOn("eks-pod-identity-agent"),
)

AFTER_NODES = (
    # Every one is told to tolerate the taint: defaults differ between add-ons and change with their versions.
    AddOn("coredns", {"autoScaling": {"enabled": True}, "tolerations": [_TOLERATION]}, ()),
    AddOn("metrics-server", {"tolerations": [_TOLERATION]}, ()),
    AddOn("aws-ebs-csi-driver", {"controller": {"tolerations": [_TOLERATION]}}, ("controller",)),
    # Its schema knows nothing else at the top (aws/eks-node-monitoring-agent charts/configuration.schema.json).
    AddOn("eks-node-monitoring-agent", {"nodeAgent": {"tolerations": [{"operator": "Exists"}]}}),
    AddOn("aws-secrets-store-csi-driver-provider", {"tolerations": [_TOLERATION]}),
)


def on_system_nodes(row: AddOn) -> AddOn:
    """The same with its Deployment bound to the system nodes.

    Needed where these go at night: Karpenter launches a worker for what has lost its place (karpenter#1196). The key is
    in CoreDNS's schema (terraform-aws-eks-blueprints-addons#157) and in the values of the two others' charts.
    """
    if row.deployment is None:
        return row
    configuration = deepcopy(row.configuration)
    part = configuration
    for key in row.deployment:
        part = part[key]
    part["nodeSelector"] = SYSTEM_LABELS
    return replace(row, configuration=configuration)


def add_on(prefix: str, row: AddOn, cluster_name: pulumi.Input[str], opts: pulumi.ResourceOptions) -> aws.eks.Addon:
    """One managed add-on at its pinned version."""
    return aws.eks.Addon(
        f"{prefix}-{row.name}",
        cluster_name=cluster_name,
        addon_name=row.name,
        addon_version=ADD_ONS[row.name].version,
        configuration_values=json.dumps(row.configuration, sort_keys=True) if row.configuration else None,
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="PRESERVE",
        opts=opts,
    )
