"""What the AWS Load Balancer Controller may do.

Source: its docs/install/iam_policy.json at v3.1.0, without the Cognito, Shield and WAF Classic calls, which we do not
use. Writes are bound to resources that carry the controller's own cluster tag; where the API knows no resource or
condition (creating listeners and rules, describing), the wildcard is upstream's.
"""

from __future__ import annotations

from typing import Any

from infra.settings import Settings

_TAG = "elbv2.k8s.aws/cluster"
_DESCRIBE_EC2 = (
    "AccountAttributes",
    "Addresses",
    "AvailabilityZones",
    "InternetGateways",
    "Vpcs",
    "VpcPeeringConnections",
    "Subnets",
    "SecurityGroups",
    "Instances",
    "NetworkInterfaces",
    "Tags",
    "CoipPools",
    "IpamPools",
    "RouteTables",
)
_DESCRIBE_LOAD_BALANCING = (
    "LoadBalancers",
    "LoadBalancerAttributes",
    "Listeners",
    "ListenerCertificates",
    "SSLPolicies",
    "Rules",
    "TargetGroups",
    "TargetGroupAttributes",
    "TargetHealth",
    "Tags",
    "TrustStores",
    "ListenerAttributes",
    "CapacityReservation",
)


def policies(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The policy statements by name of the policy."""
    return {
        "read": _reads(settings),
        "security-groups": _security_groups(settings),
        "load-balancing": _load_balancing(settings),
    }


def _allow(
    actions: str | list[str], resource: str | list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def _reads(settings: Settings) -> list[dict[str, Any]]:
    return [
        _allow(
            [
                *(f"ec2:Describe{what}" for what in _DESCRIBE_EC2),
                "ec2:GetCoipPoolUsage",
                "ec2:GetSecurityGroupsForVpc",
                *(f"elasticloadbalancing:Describe{what}" for what in _DESCRIBE_LOAD_BALANCING),
                "acm:ListCertificates",
                "acm:DescribeCertificate",
                "iam:ListServerCertificates",
                "iam:GetServerCertificate",
            ],
            "*",
        ),
        _allow(
            "iam:CreateServiceLinkedRole",
            "*",
            {"StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}},
        ),
        _allow(
            ["wafv2:GetWebACL", "wafv2:GetWebACLForResource", "wafv2:AssociateWebACL", "wafv2:DisassociateWebACL"],
            [
                f"arn:aws:wafv2:{settings.region}:{settings.account.id}:regional/webacl/*",
                f"arn:aws:elasticloadbalancing:{settings.region}:{settings.account.id}:loadbalancer/app/*",
            ],
        ),
    ]


def _security_groups(settings: Settings) -> list[dict[str, Any]]:
    groups = f"arn:aws:ec2:{settings.region}:{settings.account.id}:security-group/*"
    vpcs = f"arn:aws:ec2:{settings.region}:{settings.account.id}:vpc/*"
    change = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]
    return [
        _allow(change, groups),
        _allow("ec2:CreateSecurityGroup", [groups, vpcs]),
        _allow(
            "ec2:CreateTags",
            groups,
            {
                "StringEquals": {"ec2:CreateAction": "CreateSecurityGroup"},
                "Null": {f"aws:RequestTag/{_TAG}": "false"},
            },
        ),
        _allow(
            ["ec2:CreateTags", "ec2:DeleteTags"],
            groups,
            {"Null": {f"aws:RequestTag/{_TAG}": "true", f"aws:ResourceTag/{_TAG}": "false"}},
        ),
        _allow("ec2:DeleteSecurityGroup", groups, {"Null": {f"aws:ResourceTag/{_TAG}": "false"}}),
    ]


def _load_balancing(settings: Settings) -> list[dict[str, Any]]:
    def ours(*kinds: str) -> list[str]:
        return [f"arn:aws:elasticloadbalancing:{settings.region}:{settings.account.id}:{kind}/*" for kind in kinds]

    def actions(*names: str) -> list[str]:
        return [f"elasticloadbalancing:{name}" for name in names]

    balancers, groups = ("loadbalancer/net", "loadbalancer/app"), "targetgroup"
    listeners = ("listener/net", "listener/app", "listener-rule/net", "listener-rule/app")
    requested, existing = {f"aws:RequestTag/{_TAG}": "false"}, {f"aws:ResourceTag/{_TAG}": "false"}
    return [
        _allow(actions("CreateLoadBalancer", "CreateTargetGroup"), ours(*balancers, groups), {"Null": requested}),
        _allow(actions("CreateListener", "DeleteListener", "CreateRule", "DeleteRule"), ours(*balancers, *listeners)),
        _allow(
            actions("AddTags", "RemoveTags"),
            ours(groups, *balancers),
            {"Null": {f"aws:RequestTag/{_TAG}": "true", **existing}},
        ),
        _allow(
            actions("AddTags"),
            ours(groups, *balancers),
            {
                "StringEquals": {"elasticloadbalancing:CreateAction": ["CreateTargetGroup", "CreateLoadBalancer"]},
                "Null": requested,
            },
        ),
        _allow(actions("AddTags", "RemoveTags"), ours(*listeners)),
        _allow(
            actions(
                "ModifyLoadBalancerAttributes",
                "SetIpAddressType",
                "SetSecurityGroups",
                "SetSubnets",
                "DeleteLoadBalancer",
                "ModifyTargetGroup",
                "ModifyTargetGroupAttributes",
                "DeleteTargetGroup",
                "ModifyListenerAttributes",
                "ModifyCapacityReservation",
                "ModifyIpPools",
            ),
            ours(*balancers, groups, *listeners),
            {"Null": existing},
        ),
        _allow(actions("RegisterTargets", "DeregisterTargets"), ours(groups)),
        _allow(
            actions(
                "SetWebAcl",
                "ModifyListener",
                "AddListenerCertificates",
                "RemoveListenerCertificates",
                "ModifyRule",
                "SetRulePriorities",
            ),
            ours(*balancers, *listeners),
        ),
    ]
