"""KMS keys, Secrets Manager, queues and topics: who may decrypt, and what is in clear."""

from __future__ import annotations

from collections.abc import Iterator

from policies.check import Subject, check
from policies.properties import Properties
from policies.statements import allowed, listed
from stacks.graph import Resource

KEY = "aws:kms/key:Key"
SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105  a type


@check(
    "key-rotates",
    "A key rotates every year",
    severity="medium",
    types=(KEY,),
    remedy="Set enableKeyRotation.",
    controls={"SOC 2": ("CC6.1", "PI1.5")},
    references=("CKV_AWS_7", "AWS-0065"),
)
def rotates(key: Subject) -> str | None:
    """Rotation bounds how much one leaked key opens, and costs nothing to use."""
    return None if key.properties.flag("enableKeyRotation") else "enableKeyRotation is not true"


@check(
    "key-policy-closed",
    "A key's policy names who may use it",
    severity="high",
    types=(KEY,),
    subjects=lambda key: allowed(Properties(key.inputs), "policy"),
    remedy="Name principals, or bind * by a condition on account and service.",
    controls={"AWS FSBP": ("KMS.5",), "SOC 2": ("CC6.1",)},
    references=("CKV_AWS_33",),
)
def policy_closed(statement: Subject) -> str | None:
    """A policy open to * lets any account decrypt that holds the ciphertext."""
    principal = statement.properties.content.get("Principal")
    anybody = principal == "*" or (isinstance(principal, dict) and "*" in listed(principal.get("AWS")))  # pyright: ignore[reportUnknownMemberType] - JSON
    return "Principal is * without a condition" if anybody and not statement.properties.has("Condition") else None


@check(
    "key-deletion-window",
    "A key that is deleted can be saved for 30 days",
    severity="medium",
    types=(KEY,),
    remedy="Set deletionWindowInDays to 30.",
    controls={"AWS FSBP": ("KMS.3",), "SOC 2": ("C1.1",)},
    parameters={"minDays": 30},
)
def deletion_window(key: Subject) -> str | None:
    """With the key goes everything that it encrypted."""
    days = key.properties.number("deletionWindowInDays")
    least = key.parameters["minDays"]
    return None if days is None or days >= least else f"deletionWindowInDays={days:g} is less than {least:g}"


@check(
    "key-one-region",
    "A key stays in its region",
    severity="medium",
    types=(KEY,),
    remedy="Clear multiRegion.",
    controls={"SOC 2": ("CC6.7",)},
    references=("PRW kms_cmk_not_multi_region",),
)
def one_region(key: Subject) -> str | None:
    """A multi-region key decrypts the region's data anywhere."""
    return "multiRegion is true" if key.properties.flag("multiRegion") else None


@check(
    "secret-encrypted",
    "A secret is encrypted with a key of ours",
    severity="high",
    types=(SECRET,),
    remedy="Set kmsKeyId.",
    controls={"SOC 2": ("CC6.1",)},
    references=("CKV_AWS_149",),
)
def secret_encrypted(secret: Subject) -> str | None:
    """With the AWS-managed key secretsmanager:GetSecretValue alone is enough."""
    return None if secret.properties.has("kmsKeyId") else "kmsKeyId is not set"


@check(
    "secret-recoverable",
    "A deleted secret can be had back",
    severity="medium",
    types=(SECRET,),
    remedy="Set recoveryWindowInDays; `teardown` sets 0.",
    controls={"SOC 2": ("A1.2",)},
    parameters={"minDays": 7},
)
def secret_recoverable(secret: Subject) -> str | None:
    """A signing key deleted at once signs everybody out, for good."""
    days = secret.properties.number("recoveryWindowInDays")
    least = secret.parameters["minDays"]
    return None if days is None or days >= least else f"recoveryWindowInDays={days:g} is less than {least:g}"


@check(
    "secret-no-value-in-state",
    "No secret's value is in the program",
    severity="critical",
    types=("aws:secretsmanager/secretVersion:SecretVersion", "aws:ssm/parameter:Parameter"),
    remedy="Set the value by `python -m stacks.secrets set NAME`, from standard input.",
    controls={"CIS EKS": ("4.4.1",), "SOC 2": ("CC6.1",)},
)
def no_value_in_state(version: Subject) -> str | None:
    """State, its backups and each plan would hold it; an encrypted state is read by everybody who may preview."""
    for key in ("secretString", "secretBinary", "value"):
        if version.properties.has(key):
            return f"{key} is set"
    return None


WORDS = ("password", "passwd", "secretkey", "apikey", "privatekey", "authtoken", "accesskey")


def plain_values(resource: Resource) -> Iterator[Properties]:
    """Configuration that anybody with read access sees: ConfigMaps, and the variables of containers."""
    properties = Properties(resource.inputs)
    if resource.type == "kubernetes:core/v1:ConfigMap":
        yield properties.part("data")
        return
    for kind in ("containers", "initContainers"):
        for container in properties.parts(f"spec.template.spec.{kind}"):
            yield from container.parts("env")


@check(
    "secret-not-in-configuration",
    "No secret is in a ConfigMap or a variable",
    severity="high",
    types=(
        "kubernetes:core/v1:ConfigMap",
        "kubernetes:apps/v1:Deployment",
        "kubernetes:argoproj.io/v1alpha1:Rollout",
        "kubernetes:batch/v1:Job",
    ),
    subjects=plain_values,
    remedy="Mount it as a file from Secrets Manager.",
    controls={"CIS EKS": ("4.4.1", "4.4.2"), "NSA/CISA": ("C-0012",), "SOC 2": ("CC6.1",)},
    references=("CKV_K8S_35",),
)
def not_in_configuration(values: Subject) -> str | None:
    """Variables are in crash reports, in child processes and in `kubectl describe`."""
    given = values.properties
    if given.has("name"):
        name = given.text("name") or ""
        secret = _is_secret(name) and (given.has("value") or given.has("valueFrom.secretKeyRef"))
        return f"{name} holds a secret" if secret else None
    names = [name for name in given.content if _is_secret(name)]
    return f"{', '.join(names)} look like secrets" if names else None


def _is_secret(name: str) -> bool:
    folded = name.lower().replace("_", "").replace("-", "")
    return any(word in folded for word in WORDS) and not folded.endswith(("file", "path", "name", "arn"))
