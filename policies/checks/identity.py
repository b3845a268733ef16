"""IAM: who may do what in the account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from policies.check import Subject, check
from policies.properties import Properties
from policies.statements import actions, allowed, listed, resources
from stacks.graph import Resource

ROLE = "aws:iam/role:Role"
POLICIES = ("aws:iam/policy:Policy", "aws:iam/rolePolicy:RolePolicy")
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
OIDC = "token.actions.githubusercontent.com"


def grants(resource: Resource) -> Iterator[Properties]:
    yield from allowed(Properties(resource.inputs), "policy")


def trusts(resource: Resource) -> Iterator[Properties]:
    yield from allowed(Properties(resource.inputs), "assumeRolePolicy")


@check(
    "iam-no-full-rights",
    "No policy allows everything",
    severity="critical",
    types=POLICIES,
    subjects=grants,
    remedy="Name the actions and resources.",
    controls={"AWS FSBP": ("IAM.1",), "SOC 2": ("CC6.3",)},
    references=("CKV_AWS_62", "CKV_AWS_63"),
)
def no_full_rights(statement: Subject) -> str | None:
    """Whoever takes such a role over has the account."""
    everything = "*" in actions(statement.properties) and "*" in resources(statement.properties)
    return "allows * on *" if everything or statement.properties.has("NotAction") else None


@check(
    "iam-no-service-wildcards",
    "No policy allows all of a service",
    severity="high",
    types=POLICIES,
    subjects=grants,
    remedy="List the actions that are called.",
    controls={"AWS FSBP": ("IAM.21",), "SOC 2": ("CC6.3",)},
    references=("CKV_AWS_355",),
)
def no_service_wildcards(statement: Subject) -> str | None:
    """s3:* holds DeleteBucket and PutBucketPolicy, for one GetObject that was needed."""
    wide = [action for action in actions(statement.properties) if action.endswith(":*")]
    return f"allows {', '.join(wide)}" if wide else None


@check(
    "iam-pass-role-scoped",
    "Roles are passed by name, to a named service",
    severity="high",
    types=POLICIES,
    subjects=grants,
    remedy="Name the role's ARN in Resource, and iam:PassedToService in Condition.",
    controls={"SOC 2": ("CC6.3",)},
    references=("AWS-0342",),
)
def pass_role_scoped(statement: Subject) -> str | None:
    """Who may pass any role to a machine of theirs has any role."""
    if not {"iam:PassRole", "iam:*", "*"}.intersection(actions(statement.properties)):
        return None
    return "iam:PassRole on *" if "*" in resources(statement.properties) else None


@check(
    "iam-decrypt-scoped",
    "Decryption is allowed with named keys",
    severity="high",
    types=POLICIES,
    subjects=grants,
    remedy="Name the key's ARN in Resource.",
    controls={"AWS FSBP": ("KMS.1", "KMS.2"), "SOC 2": ("CC6.1", "CC6.3")},
)
def decrypt_scoped(statement: Subject) -> str | None:
    """Data is as secret as the widest role that may decrypt it."""
    decrypts = any(
        a in ("*", "kms:*") or a.startswith(("kms:Decrypt", "kms:ReEncrypt")) for a in actions(statement.properties)
    )
    wide = [arn for arn in resources(statement.properties) if arn == "*" or arn.endswith(":key/*")]
    return f"may decrypt with {', '.join(wide)}" if decrypts and wide and not _by_alias(statement.properties) else None


def _by_alias(statement: Properties) -> bool:
    return "kms:ResourceAliases" in json.dumps(statement.content.get("Condition"), default=str)


@check(
    "iam-no-users",
    "There are no IAM users and no access keys",
    severity="high",
    types=("aws:iam/user:User", "aws:iam/accessKey:AccessKey", "aws:iam/userLoginProfile:UserLoginProfile"),
    remedy="Use roles: Pod Identity for pods, OIDC for pipelines, single sign-on for people.",
    controls={"AWS FSBP": ("IAM.2",), "SOC 2": ("CC6.1",)},
    references=("CKV_AWS_40",),
)
def no_users(user: Subject) -> str | None:
    """An access key works for whoever finds it, until somebody notices."""
    return f"{user.resource.kind} is there"


@check(
    "iam-no-administrator",
    "Nobody is given AdministratorAccess",
    severity="critical",
    types=(ATTACHMENT, ROLE),
    remedy="Attach a policy of what is needed; the deploy role's is made from the graph.",
    controls={"AWS FSBP": ("IAM.1",), "SOC 2": ("CC6.3",)},
    references=("CKV_AWS_274",),
)
def no_administrator(attachment: Subject) -> str | None:
    """A pipeline with all rights makes every dependency of its workflow an administrator."""
    names = [attachment.properties.text("policyArn") or "", *attachment.properties.texts("managedPolicyArns")]
    wide = [name for name in names if name.endswith(("/AdministratorAccess", "/PowerUserAccess", "/IAMFullAccess"))]
    return f"{', '.join(wide)} is attached" if wide else None


@check(
    "iam-pod-trust-exact",
    "A pod's role trusts one service account of one namespace",
    severity="high",
    types=(ROLE,),
    subjects=lambda role: [s for s in trusts(role) if "pods.eks.amazonaws.com" in json.dumps(s.content, default=str)],
    remedy="Add aws:RequestTag/kubernetes-namespace and /kubernetes-service-account conditions to the trust.",
    controls={"CIS EKS": ("5.2.1",), "SOC 2": ("CC6.3",)},
    references=("CKV_AWS_60", "CKV_AWS_61"),
)
def pod_trust_exact(statement: Subject) -> str | None:
    """Without it whoever may write an association gives the role to any pod."""
    equal = statement.properties.part("Condition").part("StringEquals").content
    missing = [
        tag for tag in ("kubernetes-namespace", "kubernetes-service-account") if f"aws:RequestTag/{tag}" not in equal
    ]
    return f"Condition does not name {', '.join(missing)}" if missing else None


@check(
    "iam-pipeline-trust-exact",
    "A pipeline's role trusts one repository's environment or branch",
    severity="critical",
    types=(ROLE,),
    subjects=lambda role: [s for s in trusts(role) if OIDC in json.dumps(s.content, default=str)],
    remedy="Set StringEquals on token.actions.githubusercontent.com:sub and :aud, without wildcards.",
    controls={"SOC 2": ("CC6.1", "CC8.1")},
    references=("CKV_AWS_358", "CKV_AWS_393"),
)
def pipeline_trust_exact(statement: Subject) -> str | None:
    """repo:ORG/* is every repository that anybody in the organisation makes, pull requests included."""
    equal: dict[str, Any] = dict(statement.properties.part("Condition").part("StringEquals").content)
    for claim in ("aud", "sub"):
        values = listed(equal.get(f"{OIDC}:{claim}"))
        if not values:
            return f"Condition.StringEquals does not name {OIDC}:{claim}"
        if any("*" in value for value in values):
            return f"{OIDC}:{claim} has a wildcard"
    return None


@check(
    "iam-trust-named",
    "A role trusts named principals",
    severity="critical",
    types=(ROLE,),
    subjects=trusts,
    remedy="Name the service or role that assumes it.",
    controls={"SOC 2": ("CC6.1",)},
    references=("CKV_AWS_60", "CKV_AWS_61"),
)
def trust_named(statement: Subject) -> str | None:
    """A role that trusts * is everybody's."""
    principal: Any = statement.properties.content.get("Principal")
    values = (
        [principal]
        if isinstance(principal, str)
        else [v for item in dict(principal or {}).values() for v in listed(item)]
    )
    return "Principal is *" if "*" in values else None
