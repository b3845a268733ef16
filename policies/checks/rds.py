"""RDS PostgreSQL: reach, encryption, backups, availability, versions."""

from __future__ import annotations

from policies.check import Subject, check

INSTANCE = "aws:rds/instance:Instance"


@check(
    "rds-not-public",
    "The database has no public address",
    severity="critical",
    types=(INSTANCE,),
    remedy="Leave publiclyAccessible false and reach the database from the VPC.",
    controls={"AWS FSBP": ("RDS.2",), "SOC 2": ("CC6.6",)},
    references=("CKV_AWS_17", "AWS-0180"),
)
def not_public(database: Subject) -> str | None:
    """A public address puts the login prompt of every conversation's store on the internet."""
    return "publiclyAccessible is true" if database.properties.flag("publiclyAccessible") else None


@check(
    "rds-encrypted",
    "The database's storage is encrypted with a key of ours",
    severity="high",
    types=(INSTANCE,),
    remedy="Set storageEncrypted and kmsKeyId. On an existing database this is a replacement: restore a snapshot's encrypted copy.",
    controls={"AWS FSBP": ("RDS.3",), "SOC 2": ("CC6.1",)},
    references=("CKV_AWS_16", "AWS-0080"),
)
def encrypted(database: Subject) -> str | None:
    """Disks, snapshots and replicas hold what users wrote; with AWS's own key nobody here can withdraw access to them."""
    if not database.properties.flag("storageEncrypted"):
        return "storageEncrypted is not true"
    return None if database.properties.has("kmsKeyId") else "kmsKeyId is not set: the AWS-managed key is used"


@check(
    "rds-multi-az",
    "The database has a standby in another zone",
    severity="high",
    types=(INSTANCE,),
    remedy="Set database.multiAz: true.",
    controls={"AWS FSBP": ("RDS.5",), "SOC 2": ("A1.2",)},
    references=("CKV_AWS_157",),
)
def multi_az(database: Subject) -> str | None:
    """A single-AZ database is away for the whole of an AZ outage and of every patch."""
    return None if database.properties.flag("multiAz") else "multiAz is not true"


@check(
    "rds-backups",
    "Backups are kept long enough to notice a mistake",
    severity="high",
    types=(INSTANCE,),
    remedy="Set database.backupRetentionDays to the bound or more.",
    controls={"AWS FSBP": ("RDS.11",), "SOC 2": ("A1.2",)},
    references=("CKV_AWS_133", "AWS-0077"),
    parameters={"minDays": 7},
)
def backups(database: Subject) -> str | None:
    """Point-in-time recovery reaches back only as far as the retention."""
    days = database.properties.number("backupRetentionPeriod") or 0
    least = database.parameters["minDays"]
    return None if days >= least else f"backupRetentionPeriod={days:g} is less than {least:g} days"
