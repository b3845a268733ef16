"""The S3 bucket that holds Pulumi's state, one for every environment of the account and region."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from stacks.account import absent
from stacks.bootstrap.policy import Statement, holds, with_statement
from stacks.bootstrap.secrets_key import key_of
from stacks.bootstrap.step import Finding, Step, Target, change, create, exists

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        LifecycleRuleOutputTypeDef,
        LifecycleRuleTypeDef,
        PublicAccessBlockConfigurationTypeDef,
    )

_CLOSED: PublicAccessBlockConfigurationTypeDef = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
_OWNERSHIP = "BucketOwnerEnforced"
_RULE_ID = "old-state-versions"
_RULE: LifecycleRuleTypeDef = {
    "ID": _RULE_ID,
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    # Old versions are the undo of a spoilt state: a quarter to find out. The current one never goes.
    "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
}


def bucket_name(account: str, region: str) -> str:
    """Bucket names are shared by the whole world: the account and region make ours its own."""
    return f"langgraph-eks-state-{account}-{region}"


def _bucket(target: Target) -> str:
    return bucket_name(target.account.id, target.account.region)


def _arn(target: Target) -> str:
    return f"arn:{target.account.partition}:s3:::{_bucket(target)}"


def _who(target: Target) -> dict[str, Any]:
    # Every call names the owner: a bucket of this name in another account must get nothing of ours.
    return {"Bucket": _bucket(target), "ExpectedBucketOwner": target.account.id}


def _look_bucket(target: Target) -> Finding:
    try:
        target.s3.head_bucket(**_who(target))
    except ClientError as error:
        absent(error, "404")
        return create("holds the state of every stack")
    target.arns.state_bucket = _arn(target)
    return exists(_bucket(target))


def _make_bucket(target: Target) -> None:
    region = target.account.region
    # S3 takes no location constraint for us-east-1 (S3 API reference, CreateBucket).
    where: dict[str, Any] = (
        {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    )
    try:
        target.s3.create_bucket(Bucket=_bucket(target), ObjectOwnership=_OWNERSHIP, **where)
    except ClientError as error:
        absent(error, "BucketAlreadyOwnedByYou")
    target.arns.state_bucket = _arn(target)


def _setting(
    name: str,
    why: str,
    problem: Callable[[Target], str | None],
    make: Callable[[Target], None],
    *absences: str,
) -> Step:
    """One property of the bucket. ``problem`` says what is wrong with it; ``absences`` are S3's codes for none."""

    def look(target: Target) -> Finding:
        if target.arns.state_bucket is None:
            return create(why)
        try:
            found = problem(target)
        except ClientError as error:
            absent(error, *absences)
            found = "none"
        return change(f"{found}: {why}") if found else exists(why)

    return Step(f"state bucket: {name}", look, make)


def _public_access(target: Target) -> str | None:
    found = target.s3.get_public_access_block(**_who(target))["PublicAccessBlockConfiguration"]
    lost = sorted(key for key in _CLOSED if not found.get(key))
    return f"{', '.join(lost)} off" if lost else None


def _block_public_access(target: Target) -> None:
    target.s3.put_public_access_block(**_who(target), PublicAccessBlockConfiguration=_CLOSED)


def _ownership(target: Target) -> str | None:
    found = target.s3.get_bucket_ownership_controls(**_who(target))["OwnershipControls"]["Rules"][0]["ObjectOwnership"]
    return None if found == _OWNERSHIP else found


def _enforce_ownership(target: Target) -> None:
    target.s3.put_bucket_ownership_controls(
        **_who(target), OwnershipControls={"Rules": [{"ObjectOwnership": _OWNERSHIP}]}
    )


def _encryption(target: Target) -> str | None:
    configured = target.s3.get_bucket_encryption(**_who(target))["ServerSideEncryptionConfiguration"]["Rules"][0]
    found = configured.get("ApplyServerSideEncryptionByDefault", {"SSEAlgorithm": "AES256"})
    if found["SSEAlgorithm"] != "aws:kms":
        return found["SSEAlgorithm"]
    if target.arns.secrets_key is None or found.get("KMSMasterKeyID") != target.arns.secrets_key:
        return f"key {found.get('KMSMasterKeyID', 'of S3')}"
    return None if configured.get("BucketKeyEnabled") else "a KMS call for every object"


def _encrypt(target: Target) -> None:
    target.s3.put_bucket_encryption(
        **_who(target),
        ServerSideEncryptionConfiguration={
            "Rules": [
                {
                    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_of(target)},
                    "BucketKeyEnabled": True,
                }
            ]
        },
    )


def _versioning(target: Target) -> str | None:
    found = target.s3.get_bucket_versioning(**_who(target)).get("Status", "never switched on")
    return None if found == "Enabled" else found


def _version(target: Target) -> None:
    target.s3.put_bucket_versioning(**_who(target), VersioningConfiguration={"Status": "Enabled"})


def _tls_only(target: Target) -> Statement:
    return {
        "Sid": "DenyInsecureTransport",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [_arn(target), f"{_arn(target)}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _current_policy(target: Target) -> str | None:
    try:
        return target.s3.get_bucket_policy(**_who(target))["Policy"]
    except ClientError as error:
        absent(error, "NoSuchBucketPolicy")
        return None


def _policy(target: Target) -> str | None:
    return None if holds(_current_policy(target), _tls_only(target)) else "not refused"


def _refuse_plain_http(target: Target) -> None:
    policy = with_statement(_current_policy(target), _tls_only(target))
    target.s3.put_bucket_policy(**_who(target), Policy=policy)


def _rules(target: Target) -> list[LifecycleRuleOutputTypeDef]:
    try:
        return list(target.s3.get_bucket_lifecycle_configuration(**_who(target))["Rules"])
    except ClientError as error:
        absent(error, "NoSuchLifecycleConfiguration")
        return []


def _lifecycle(target: Target) -> str | None:
    ours = [rule for rule in _rules(target) if rule.get("ID") == _RULE_ID]
    if not ours:
        return "none"
    # S3 writes a filter for everything in more than one way: what the rule does is compared, not how it matches.
    same = all(ours[0].get(key) == value for key, value in _RULE.items() if key != "Filter")
    return None if same else "other numbers"


def _expire_old_versions(target: Target) -> None:
    others = [rule for rule in _rules(target) if rule.get("ID") != _RULE_ID]
    target.s3.put_bucket_lifecycle_configuration(**_who(target), LifecycleConfiguration={"Rules": [*others, _RULE]})


STEPS = (
    Step("state bucket", _look_bucket, _make_bucket),
    _setting(
        "public access",
        "blocked",
        _public_access,
        _block_public_access,
        "NoSuchPublicAccessBlockConfiguration",
    ),
    _setting(
        "object ownership",
        "the account owns every object",
        _ownership,
        _enforce_ownership,
        "OwnershipControlsNotFoundError",
    ),
    _setting(
        "encryption",
        "with the secrets key",
        _encryption,
        _encrypt,
        "ServerSideEncryptionConfigurationNotFoundError",
    ),
    _setting("versioning", "a spoilt state can be undone", _versioning, _version),
    _setting("TLS only", "plain HTTP is refused", _policy, _refuse_plain_http),
    _setting("lifecycle", "old versions go after 90 days", _lifecycle, _expire_old_versions),
)
