"""Buckets: who may read them, how they are encrypted, what stays in them."""

from __future__ import annotations

from policies.check import Subject, check
from policies.links import linking
from policies.properties import Properties

BUCKET = "aws:s3/bucket:Bucket"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
LOGGING = "aws:s3/bucketLogging:BucketLogging"
BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def attached(bucket: Subject, type_: str) -> list[Properties]:
    """The bucket's settings of a kind, each a resource of its own."""
    return [Properties(found.inputs) for found in linking(bucket.graph, bucket.resource, type_, "bucket")]


@check(
    "bucket-not-public",
    "A bucket cannot be made public",
    severity="critical",
    types=(BUCKET,),
    scope="stack",
    remedy="Add an aws.s3.BucketPublicAccessBlock with all four set.",
    controls={"AWS FSBP": ("S3.2", "S3.3", "S3.8"), "SOC 2": ("CC6.6",)},
    references=("CKV_AWS_53", "CKV_AWS_54", "CKV_AWS_55", "CKV_AWS_56", "AWS-0086", "AWS-0087", "AWS-0091", "AWS-0093"),
)
def not_public(bucket: Subject) -> str | None:
    """One policy statement written in a hurry is enough; the block outlives it."""
    blocks = attached(bucket, BLOCK)
    missing = [name for name in BLOCKS if not any(block.flag(name) for block in blocks)]
    return f"not set: {', '.join(missing)}" if missing else None


@check(
    "bucket-encrypted",
    "A bucket is encrypted with a key of ours",
    severity="high",
    types=(BUCKET,),
    scope="stack",
    remedy="Add a server-side encryption configuration with aws:kms; load balancer logs can have AES256 only.",
    controls={"SOC 2": ("CC6.1", "PI1.4")},
    references=("CKV_AWS_145", "AWS-0132"),
)
def encrypted(bucket: Subject) -> str | None:
    """Only a key of ours can be withdrawn from whoever holds s3:GetObject."""
    rules = [rule for found in attached(bucket, ENCRYPTION) for rule in found.parts("rules")]
    kinds = [rule.text("applyServerSideEncryptionByDefault.sseAlgorithm") for rule in rules]
    return None if "aws:kms" in kinds else f"its default encryption is {', '.join(filter(None, kinds)) or 'not set'}"


@check(
    "bucket-tls-only",
    "A bucket answers over TLS only",
    severity="medium",
    types=(BUCKET,),
    scope="stack",
    remedy="Deny s3:* where aws:SecureTransport is false.",
    controls={"AWS FSBP": ("S3.5",), "SOC 2": ("CC6.7",)},
    references=("CKV_AWS_379",),
)
def tls_only(bucket: Subject) -> str | None:
    """S3 takes plain HTTP unless it is told not to."""
    for policy in attached(bucket, POLICY):
        for statement in policy.document("policy").parts("Statement"):
            secure = statement.part("Condition").part("Bool").content.get("aws:SecureTransport")
            if statement.text("Effect") == "Deny" and str(secure).lower() == "false":
                return None
    return "no statement denies requests without TLS"


@check(
    "bucket-versioned",
    "A bucket keeps what is overwritten",
    severity="medium",
    types=(BUCKET,),
    scope="stack",
    remedy="Add an aws.s3.BucketVersioning with status Enabled.",
    controls={"SOC 2": ("A1.2", "CC7.4", "PI1.5")},
    references=("CKV_AWS_21",),
)
def versioned(bucket: Subject) -> str | None:
    """Without versions a wrong delete is final, and replication and object lock are not to be had."""
    states = [found.text("versioningConfiguration.status") for found in attached(bucket, VERSIONING)]
    return None if "Enabled" in states else "versioning is not enabled"


@check(
    "bucket-lifecycle",
    "Old versions and abandoned uploads are removed",
    severity="low",
    types=(BUCKET,),
    scope="stack",
    remedy="Add lifecycle rules with abortIncompleteMultipartUpload and an expiration.",
    controls={"AWS FSBP": ("S3.13",), "SOC 2": ("C1.2",)},
    references=("CKV2_AWS_61", "CKV_AWS_300"),
)
def lifecycle(bucket: Subject) -> str | None:
    """Parts of broken uploads are in no listing and on every bill."""
    rules = [rule for found in attached(bucket, LIFECYCLE) for rule in found.parts("rules")]
    if not any(rule.has("abortIncompleteMultipartUpload") for rule in rules):
        return "no rule aborts incomplete uploads"
    expires = any(rule.has("expiration") or rule.has("noncurrentVersionExpiration") for rule in rules)
    return None if expires else "no rule expires anything"


@check(
    "bucket-access-logs",
    "Requests to a bucket are recorded",
    severity="low",
    types=(BUCKET,),
    scope="stack",
    remedy="Add an aws.s3.BucketLogging to a log bucket, or record data events by CloudTrail and waive this.",
    controls={"AWS FSBP": ("S3.9",), "SOC 2": ("CC7.2",)},
    references=("CKV_AWS_18",),
)
def access_logs(bucket: Subject) -> str | None:
    """Who read a backup is otherwise unknown. The bucket that takes the logs cannot log itself."""
    receives = any(
        bucket.resource.urn in other.property_dependencies.get("targetBucket", ())
        for other in bucket.graph.of_type(LOGGING)
    )
    return None if receives or attached(bucket, LOGGING) else "it has no server access logging"


@check(
    "bucket-not-emptied",
    "Destroying the stack does not empty a bucket of data",
    severity="medium",
    types=(BUCKET,),
    remedy="Clear forceDestroy; `teardown` sets it.",
    controls={"SOC 2": ("C1.1",)},
)
def not_emptied(bucket: Subject) -> str | None:
    """forceDestroy deletes every object of every version first, backups included."""
    return "forceDestroy is true" if bucket.properties.flag("forceDestroy") else None
