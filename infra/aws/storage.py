"""Buckets: private, encrypted, versioned, TLS only, and cleared of what nobody needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.keys import Keys
from infra.component import Component
from infra.settings import Settings


@dataclass(frozen=True)
class BucketKind:
    """What a bucket is for. ``key`` False means SSE-S3, only where AWS cannot write to a KMS bucket."""

    purpose: str
    keep_old_versions_days: int
    expire_days: int | None = None
    key: bool = True
    lock_days: int | None = None
    writer: str | None = None  # an AWS service that delivers into it


ARTEFACTS = BucketKind("artefacts", keep_old_versions_days=30)
BACKUPS = BucketKind("backups", keep_old_versions_days=35, expire_days=400, lock_days=35)
# Load balancer access logs can only be written with SSE-S3
# (docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html, which names the writer too).
ACCESS_LOGS = BucketKind(
    "access-logs",
    keep_old_versions_days=7,
    expire_days=90,
    key=False,
    writer="logdelivery.elasticloadbalancing.amazonaws.com",
)


class Storage(Component):
    """The environment's buckets.

    Produces: PrivateBuckets artefacts, backups (Object Lock in prod) and access-logs.
    """

    artefacts: PrivateBucket
    backups: PrivateBucket
    access_logs: PrivateBucket

    def __init__(self, name: str, settings: Settings, keys: Keys, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        self.artefacts, self.backups, self.access_logs = (
            PrivateBucket(f"{name}-{kind.purpose}", settings, kind, keys.storage, self.child())
            for kind in (ARTEFACTS, BACKUPS, ACCESS_LOGS)
        )
        self.register_outputs({})


class PrivateBucket(Component):
    """One bucket with everything that makes it private.

    Produces: Bucket, BucketOwnershipControls, BucketPublicAccessBlock, BucketVersioning,
    BucketServerSideEncryptionConfiguration, BucketLifecycleConfiguration, BucketPolicy, and
    BucketObjectLockConfiguration where the kind is locked and the environment protected.
    """

    bucket_name: pulumi.Output[str]
    arn: pulumi.Output[str]
    policy: aws.s3.BucketPolicy

    def __init__(
        self, name: str, settings: Settings, kind: BucketKind, key: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, opts)
        physical = f"{settings.name}-{kind.purpose}-{settings.account.id}-{settings.region}"
        locked = kind.lock_days is not None and settings.environment == "prod"
        bucket = aws.s3.Bucket(
            name,
            bucket=physical,
            # Object Lock can only be switched on at creation: it stays on in a teardown, without a default period.
            object_lock_enabled=locked or None,
            force_destroy=not settings.protected,
            opts=self.child(protect=settings.protected),
        )
        self.bucket_name, self.arn = bucket.bucket, bucket.arn
        aws.s3.BucketOwnershipControls(
            name,
            bucket=bucket.bucket,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=self.child(),
        )
        blocked = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.child(),
        )
        versioning = aws.s3.BucketVersioning(
            name,
            bucket=bucket.bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=self.child(),
        )
        encryption = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="aws:kms" if kind.key else "AES256", kms_master_key_id=key if kind.key else None
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.bucket,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=encryption,
                    bucket_key_enabled=kind.key,  # one KMS call a bucket key, not one an object
                )
            ],
            opts=self.child(),
        )
        aws.s3.BucketLifecycleConfiguration(
            name, bucket=bucket.bucket, rules=[_lifecycle(kind)], opts=self.child(depends_on=[versioning])
        )
        self.policy = aws.s3.BucketPolicy(
            name,
            bucket=bucket.bucket,
            policy=pulumi.Output.json_dumps(_policy(f"arn:aws:s3:::{physical}", kind, settings.account.id)),
            opts=self.child(depends_on=[blocked]),
        )
        if locked and settings.protected:
            aws.s3.BucketObjectLockConfiguration(
                name,
                bucket=bucket.bucket,
                rule=aws.s3.BucketObjectLockConfigurationRuleArgs(
                    # GOVERNANCE, not COMPLIANCE: a teardown by a role that may bypass it must be possible.
                    default_retention=aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
                        mode="GOVERNANCE", days=kind.lock_days
                    )
                ),
                opts=self.child(depends_on=[versioning]),
            )
        self.register_outputs({})


def _lifecycle(kind: BucketKind) -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="tidy",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=7
        ),
        noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=kind.keep_old_versions_days
        ),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=kind.expire_days)
        if kind.expire_days
        else None,
    )


def _policy(arn: str, kind: BucketKind, account: str) -> dict[str, Any]:
    statements: list[dict[str, Any]] = [
        {
            "Sid": "OnlyTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]
    if kind.writer:
        statements.append(
            {
                "Sid": "Delivery",
                "Effect": "Allow",
                "Principal": {"Service": kind.writer},
                "Action": "s3:PutObject",
                # ELB puts the load balancer's account into the path. A condition on the source, which AWS's own example
                # has not, would refuse every log if ELB did not send it.
                "Resource": f"{arn}/AWSLogs/{account}/*",
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}
