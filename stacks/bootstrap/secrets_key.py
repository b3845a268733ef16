"""The KMS key of Pulumi's secrets provider; it also encrypts the state bucket and the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from stacks.account import absent
from stacks.bootstrap.step import Finding, Step, Target, blocked, change, create, exists

if TYPE_CHECKING:
    from mypy_boto3_kms.type_defs import TagTypeDef

ALIAS = "alias/langgraph-eks-secrets"
# Finds a key whose maker was stopped before it could name it: a second key would cost and confuse.
_TAG: TagTypeDef = {"TagKey": "langgraph-eks", "TagValue": "secrets"}


def _look_key(target: Target) -> Finding:
    try:
        key = target.kms.describe_key(KeyId=ALIAS)["KeyMetadata"]
    except ClientError as error:
        absent(error, "NotFoundException")
        target.arns.secrets_key = _unnamed_key(target)
        if target.arns.secrets_key:
            return exists("made by an earlier run that was stopped before it named it")
        return create("encrypts the secrets in Pulumi's state, the state bucket and the images")
    if key.get("KeyState") != "Enabled":
        return blocked(
            f"{ALIAS} names a key in state {key.get('KeyState')}, and what it encrypts cannot be read without it: "
            f"aws kms cancel-key-deletion or enable-key --key-id {key['KeyId']}, or point the alias at another key"
        )
    target.arns.secrets_key = key.get("Arn")
    return exists(str(key.get("Arn")))


def _unnamed_key(target: Target) -> str | None:
    for page in target.kms.get_paginator("list_keys").paginate():
        for key in page["Keys"]:
            if _is_ours(target, key.get("KeyId", "")):
                return key.get("KeyArn")
    return None


def _is_ours(target: Target, key: str) -> bool:
    try:
        if _TAG not in target.kms.list_resource_tags(KeyId=key)["Tags"]:
            return False
    except ClientError as error:
        absent(error, "AccessDeniedException")  # a key whose policy shuts the account out is none of ours
        return False
    return target.kms.describe_key(KeyId=key)["KeyMetadata"].get("KeyState") == "Enabled"


def _make_key(target: Target) -> None:
    # Without a policy KMS puts its default: the account decides by IAM, so no preview role can decrypt by accident
    # of this key (KMS developer guide, default key policy).
    made = target.kms.create_key(Description="langgraph-eks: Pulumi secrets, state bucket, images", Tags=[_TAG])
    target.arns.secrets_key = made["KeyMetadata"].get("Arn")


def _look_alias(target: Target) -> Finding:
    try:
        target.kms.describe_key(KeyId=ALIAS)
    except ClientError as error:
        absent(error, "NotFoundException")
        return create("the name that pulumi stack init --secrets-provider uses")
    return exists(ALIAS)


def _make_alias(target: Target) -> None:
    target.kms.create_alias(AliasName=ALIAS, TargetKeyId=key_of(target))


def _look_rotation(target: Target) -> Finding:
    if not target.arns.secrets_key:
        return create("yearly, with the key")
    on = target.kms.get_key_rotation_status(KeyId=target.arns.secrets_key)["KeyRotationEnabled"]
    return exists("on") if on else change("off: one key material would serve for ever")


def _make_rotation(target: Target) -> None:
    target.kms.enable_key_rotation(KeyId=key_of(target))


def key_of(target: Target) -> str:
    """The key's ARN, for steps that come after it."""
    if target.arns.secrets_key is None:
        raise RuntimeError("the secrets key is made before what it encrypts")
    return target.arns.secrets_key


STEPS = (
    Step("secrets key", _look_key, _make_key),
    Step("secrets key: alias", _look_alias, _make_alias),
    Step("secrets key: rotation", _look_rotation, _make_rotation),
)
