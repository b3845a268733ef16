"""What Karpenter's controller may do, by concern.

Source: karpenter-provider-aws, getting-started cloudformation.yaml (read at 8b5313c, the five-way split of 1.9 and
later), with ec2:DescribeInstanceStatus of 1.12 and v1.14's placement groups and zonal shift. Every write is bound to resources that carry our cluster's tag.
"""

from __future__ import annotations

from typing import Any

import pulumi

from infra.settings import Settings

Statement = dict[str, Any]


def policies(
    settings: Settings, node_role_arn: pulumi.Input[str], queue_arn: pulumi.Input[str]
) -> dict[str, list[Statement]]:
    """The policy statements by name of the policy."""
    return {
        "lifecycle": _lifecycle(settings),
        "profiles": _instance_profiles(settings, node_role_arn),
        "discovery": _discovery(settings),
        "interruption": [
            {
                "Effect": "Allow",
                "Action": ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"],
                "Resource": queue_arn,
            }
        ],
    }


def _lifecycle(settings: Settings) -> list[Statement]:
    def ours(*kinds: str) -> list[str]:
        return [f"arn:aws:ec2:{settings.region}:*:{kind}/*" for kind in kinds]

    owned = f"kubernetes.io/cluster/{settings.name}"
    creates = ours("fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request")
    requested = {
        "StringEquals": {f"aws:RequestTag/{owned}": "owned", "aws:RequestTag/eks:eks-cluster-name": settings.name},
        "StringLike": {"aws:RequestTag/karpenter.sh/nodepool": "*"},
    }
    existing = {
        "StringEquals": {f"aws:ResourceTag/{owned}": "owned"},
        "StringLike": {"aws:ResourceTag/karpenter.sh/nodepool": "*"},
    }
    return [
        {
            "Effect": "Allow",
            "Action": ["ec2:RunInstances", "ec2:CreateFleet"],
            "Resource": [
                f"arn:aws:ec2:{settings.region}::image/*",
                f"arn:aws:ec2:{settings.region}::snapshot/*",
                *ours("security-group", "subnet", "capacity-reservation", "placement-group"),
            ],
        },
        {
            "Effect": "Allow",
            "Action": ["ec2:RunInstances", "ec2:CreateFleet"],
            "Resource": ours("launch-template"),
            "Condition": existing,
        },
        {
            "Effect": "Allow",
            "Action": ["ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"],
            "Resource": creates,
            "Condition": requested,
        },
        {
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": creates,
            "Condition": {
                **requested,
                "StringEquals": {
                    **requested["StringEquals"],
                    "ec2:CreateAction": ["RunInstances", "CreateFleet", "CreateLaunchTemplate"],
                },
            },
        },
        {
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": ours("instance"),
            "Condition": {
                **existing,
                "StringEqualsIfExists": {"aws:RequestTag/eks:eks-cluster-name": settings.name},
                "ForAllValues:StringEquals": {
                    "aws:TagKeys": ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"]
                },
            },
        },
        {
            "Effect": "Allow",
            "Action": ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
            "Resource": ours("instance", "launch-template"),
            "Condition": existing,
        },
    ]


def _instance_profiles(settings: Settings, node_role_arn: pulumi.Input[str]) -> list[Statement]:
    profiles = f"arn:aws:iam::{settings.account.id}:instance-profile/*"
    owned, region = f"kubernetes.io/cluster/{settings.name}", "topology.kubernetes.io/region"
    requested = {
        f"aws:RequestTag/{owned}": "owned",
        "aws:RequestTag/eks:eks-cluster-name": settings.name,
        f"aws:RequestTag/{region}": settings.region,
    }
    existing = {f"aws:ResourceTag/{owned}": "owned", f"aws:ResourceTag/{region}": settings.region}
    asked_by_class = {"aws:RequestTag/karpenter.k8s.aws/ec2nodeclass": "*"}
    held_by_class = {"aws:ResourceTag/karpenter.k8s.aws/ec2nodeclass": "*"}
    return [
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": node_role_arn,
            "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        },
        {
            "Effect": "Allow",
            "Action": "iam:CreateInstanceProfile",
            "Resource": profiles,
            "Condition": {"StringEquals": requested, "StringLike": asked_by_class},
        },
        {
            "Effect": "Allow",
            "Action": "iam:TagInstanceProfile",
            "Resource": profiles,
            "Condition": {
                "StringEquals": {**existing, **requested},
                "StringLike": {**held_by_class, **asked_by_class},
            },
        },
        {
            "Effect": "Allow",
            "Action": [
                "iam:AddRoleToInstanceProfile",
                "iam:RemoveRoleFromInstanceProfile",
                "iam:DeleteInstanceProfile",
            ],
            "Resource": profiles,
            "Condition": {"StringEquals": existing, "StringLike": held_by_class},
        },
        {"Effect": "Allow", "Action": "iam:GetInstanceProfile", "Resource": profiles},
    ]


def _discovery(settings: Settings) -> list[Statement]:
    describes = (
        "CapacityReservations",
        "Images",
        "Instances",
        "InstanceStatus",
        "InstanceTypeOfferings",
        "InstanceTypes",
        "LaunchTemplates",
        "PlacementGroups",
        "SecurityGroups",
        "SpotPriceHistory",
        "Subnets",
    )
    return [
        {
            "Effect": "Allow",
            "Action": [f"ec2:Describe{what}" for what in describes],
            "Resource": "*",  # EC2's Describe calls know no resource (service authorization reference, EC2)
            "Condition": {"StringEquals": {"aws:RequestedRegion": settings.region}},
        },
        {
            "Effect": "Allow",
            "Action": "ssm:GetParameter",
            "Resource": f"arn:aws:ssm:{settings.region}::parameter/aws/service/*",
        },
        {
            "Effect": "Allow",
            "Action": "arc-zonal-shift:GetManagedResource",
            "Resource": f"arn:aws:eks:{settings.region}:{settings.account.id}:cluster/{settings.name}",
        },
        # Neither call knows a resource (service authorization reference, Price List and IAM).
        {"Effect": "Allow", "Action": ["pricing:GetProducts", "iam:ListInstanceProfiles"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "eks:DescribeCluster",
            "Resource": f"arn:aws:eks:{settings.region}:{settings.account.id}:cluster/{settings.name}",
        },
    ]
