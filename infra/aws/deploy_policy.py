"""What a deployment may do on AWS: the services that the program uses and no other, in its region, on its environment."""

from __future__ import annotations

from typing import Any

from infra.settings import PROJECT, Settings

Statement = dict[str, Any]

# The services of the graph, each with what it is for. tests/program/test_deploy_policy.py holds them against the types
# that the program registers. Their actions are not picked one by one: the provider's reads alone are some hundred, and
# an inline policy ends at 10,240 characters (IAM quotas). What bounds them is the region, the names, and the denials.
REGIONAL = {
    "acm": "the certificate of ingress.host",
    "backup": "vaults, plans, the restore drill",
    "backup-storage": "a vault with a key of its own is mounted by its maker (AWS Backup guide, access control)",
    "cloudwatch": "alarms",
    "ec2": "the network and the nodes' launch template, which EKS lets only those use who may run it",
    "eks": "the cluster, its nodes, add-ons, access entries and pod identities",
    "elasticache": "Valkey",
    "elasticloadbalancing": "the load balancer",
    "events": "what Karpenter hears of interruptions",
    "kms": "keys, and their use on the deployment's behalf by the stores that they encrypt",
    "logs": "log groups, and the delivery of flow logs and the firewall's log to them",
    "rds": "PostgreSQL",
    "sns": "the topic that alarms ring",
    "sqs": "the queue of interruptions",
    "wafv2": "the firewall before the load balancer",
}
# Roles that a service makes for itself on its first use in an account, in the name of the caller
# (IAM user guide, AWS services that work with IAM).
SERVICE_LINKED = (
    "backup.amazonaws.com",
    "ecr.amazonaws.com",
    "eks-nodegroup.amazonaws.com",
    "eks.amazonaws.com",
    "elasticache.amazonaws.com",
    "elasticloadbalancing.amazonaws.com",
    "pullthroughcache.ecr.amazonaws.com",
    "rds.amazonaws.com",
    "restore-testing.backup.amazonaws.com",
    "wafv2.amazonaws.com",
)
# Who may be handed a role of ours (each action's iam:PassedToService in the service authorization reference).
PASSED_TO = (
    "backup.amazonaws.com",
    "ec2.amazonaws.com",
    "eks.amazonaws.com",
    "monitoring.rds.amazonaws.com",
    "pods.eks.amazonaws.com",
    "restore-testing.backup.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
)
SCHEDULER = "scheduler.amazonaws.com"  # with off hours


def deploy_statements(settings: Settings) -> list[Statement]:
    """The whole policy but the state's: what is allowed, then what is denied whatever is allowed."""
    return [*_services(settings), *_roles(settings), *_image(settings), *_denied(settings)]


def _services(settings: Settings) -> list[Statement]:
    account, name = settings.account.id, settings.name
    regions = [settings.region, *([settings.backup.copy_region] if settings.backup.enabled else [])]
    zone = f"hostedzone/{settings.ingress.zone_id}" if settings.ingress.zone_id else None
    dns = {
        "Sid": "OurZone",
        "Effect": "Allow",
        "Action": "route53:*",
        "Resource": [f"arn:aws:route53:::{zone}", "arn:aws:route53:::change/*"],
    }
    schedules = {
        "Sid": "OurSchedules",
        "Effect": "Allow",
        "Action": [f"scheduler:{verb}Schedule" for verb in ("Create", "Delete", "Get", "Update")],
        "Resource": f"arn:aws:scheduler:{settings.region}:{account}:schedule/default/{name}-*",
    }
    return [
        {
            "Sid": "ServicesOfTheProgram",
            "Effect": "Allow",
            "Action": [f"{service}:*" for service in REGIONAL],
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:RequestedRegion": regions}},
        },
        {
            "Sid": "OurBuckets",
            "Effect": "Allow",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{name}-*", f"arn:aws:s3:::{name}-*/*"],
        },
        {
            # Entries and their policies; a value is set by people and read by pods, never by the pipeline.
            "Sid": "OurSecretEntries",
            "Effect": "Allow",
            "Action": [
                "secretsmanager:CreateSecret",
                "secretsmanager:DeleteResourcePolicy",
                "secretsmanager:DeleteSecret",
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetResourcePolicy",
                "secretsmanager:PutResourcePolicy",
                "secretsmanager:RestoreSecret",
                "secretsmanager:TagResource",
                "secretsmanager:UntagResource",
                "secretsmanager:UpdateSecret",
            ],
            "Resource": f"arn:aws:secretsmanager:{settings.region}:{account}:secret:{name}/*",
        },
        {
            # RDS makes the master's secret in the name of the caller (RDS user guide, rds-secrets-manager).
            "Sid": "MasterSecretByRds",
            "Effect": "Allow",
            "Action": ["secretsmanager:CreateSecret", "secretsmanager:TagResource", "secretsmanager:RotateSecret"],
            "Resource": f"arn:aws:secretsmanager:{settings.region}:{account}:secret:rds!*",
        },
        {
            "Sid": "OurBudget",
            "Effect": "Allow",
            "Action": "budgets:*",
            "Resource": f"arn:aws:budgets::{account}:budget/{name}-*",
        },
        *(_pull_through(settings) if settings.registry.pull_through else []),
        *([dns] if zone else []),
        *([schedules] if settings.off_hours else []),
    ]


def _pull_through(settings: Settings) -> list[Statement]:
    """Rules and templates, none of which is a resource to IAM; and what a template may do with the repositories."""
    kinds = ("PullThroughCacheRule", "RepositoryCreationTemplate")
    return [
        {
            "Sid": "OurPullThroughCaches",
            "Effect": "Allow",
            "Action": [f"ecr:{verb}{kind}" for kind in kinds for verb in ("Create", "Update", "Delete")]
            + [f"ecr:Describe{kind}s" for kind in kinds],
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:RequestedRegion": settings.region}},
        },
        {
            "Sid": "RepositoriesOfTemplates",
            "Effect": "Allow",
            "Action": ["ecr:CreateRepository", "ecr:PutLifecyclePolicy"],
            "Resource": f"arn:aws:ecr:{settings.region}:{settings.account.id}:repository/{settings.name}/*",
        },
    ]


def _roles(settings: Settings) -> list[Statement]:
    roles = f"arn:aws:iam::{settings.account.id}:role{settings.role_path}*"
    # With a boundary configured, a role without it cannot be made, nor a role be given more than it.
    boundary = settings.account.permission_boundary_arn
    receivers = [*PASSED_TO, *([SCHEDULER] if settings.off_hours else [])]
    bounded = {"Condition": {"StringEquals": {"iam:PermissionsBoundary": boundary}}} if boundary else {}
    return [
        {
            "Sid": "GrantToOurRoles",
            "Effect": "Allow",
            "Action": ["iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"],
            "Resource": roles,
            **bounded,
        },
        {
            "Sid": "OurRoles",
            "Effect": "Allow",
            "Action": [
                "iam:DeleteRole",
                "iam:GetRole",
                "iam:UpdateRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:ListRolePolicies",
                "iam:ListAttachedRolePolicies",
                "iam:ListInstanceProfilesForRole",
                "iam:GetRolePolicy",
                "iam:DeleteRolePolicy",
                "iam:DetachRolePolicy",
            ],
            "Resource": roles,
        },
        {
            "Sid": "OurRolesToTheseServices",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": roles,
            "Condition": {"StringEquals": {"iam:PassedToService": receivers}},
        },
        {
            # EKS looks at its own roles in the caller's name; python -m stacks.check at those of settings.access.
            "Sid": "SeeRoles",
            "Effect": "Allow",
            "Action": "iam:GetRole",
            "Resource": f"arn:aws:iam::{settings.account.id}:role/*",
        },
        {
            "Sid": "RolesOfTheServicesThemselves",
            "Effect": "Allow",
            "Action": "iam:CreateServiceLinkedRole",
            "Resource": f"arn:aws:iam::{settings.account.id}:role/aws-service-role/*",
            "Condition": {"StringEquals": {"iam:AWSServiceName": list(SERVICE_LINKED)}},
        },
    ]


def _image(settings: Settings) -> list[Statement]:
    """The pipeline builds the image that it deploys; the log-in alone knows no repository."""
    repository = settings.bootstrap.repository_arn
    if repository is None:
        return []
    push = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:DescribeImages",
        "ecr:GetDownloadUrlForLayer",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    ]
    return [
        {"Sid": "Image", "Effect": "Allow", "Action": push, "Resource": repository},
        {"Sid": "RegistryLogIn", "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
    ]


def _denied(settings: Settings) -> list[Statement]:
    """Dev and prod may share an account, and both share what bootstrap made."""
    account, bootstrap = settings.account.id, settings.bootstrap
    other = {"dev": "prod", "prod": "dev"}[settings.environment]
    state = f"{bootstrap.state_bucket_arn}/.pulumi/*/{PROJECT}/{other}*"
    shared_key = {
        "Sid": "NotTheStatesKey",
        "Effect": "Deny",
        "Action": ["kms:Disable*", "kms:Put*", "kms:ScheduleKeyDeletion", "kms:*Alias"],
        "Resource": bootstrap.secrets_key_arn,
    }
    return [
        {
            # Most services honour a thing's tags; those below by name too, as objects and secrets matter most.
            "Sid": "NotTheOtherEnvironment",
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/environment": other}},
        },
        {
            "Sid": "NotTheOtherEnvironmentByName",
            "Effect": "Deny",
            "Action": ["secretsmanager:*", "s3:*"],
            "Resource": [
                f"arn:aws:secretsmanager:*:{account}:secret:agents-{other}/*",
                f"arn:aws:s3:::agents-{other}-*",
                *([state] if bootstrap.state_bucket_arn else []),
            ],
        },
        *([shared_key] if bootstrap.secrets_key_arn else []),
    ]
