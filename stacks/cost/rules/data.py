"""PostgreSQL, Valkey, buckets, keys, secrets and backups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from infra.instances import shape
from infra.versions import POSTGRESQL_SUPPORT
from stacks.cost.amounts import Range, exactly
from stacks.cost.facts import Billed
from stacks.cost.prices import Meter
from stacks.cost.rules.use import ALL_HOURS, Context, Rule, Use, bare, hourly, prefixed, unknown, used

SAID = "usage file"
POSTGRESQL = "databaseEngine=PostgreSQL"  # RDS lists storage and backups for each engine apart
# RDS user guide, gp3: the baseline for PostgreSQL is 3,000 IOPS, and 12,000 from 400 GiB.
BASELINE_IOPS, STRIPED_IOPS, STRIPED_FROM_GIB = 3_000, 12_000, 400


def database(item: Billed, context: Context) -> Iterator[Use]:
    facts, region = item.facts, item.region
    many = bool(facts.get("multiAz"))
    deployment = f"{POSTGRESQL};deploymentOption={'Multi-AZ' if many else 'Single-AZ'}"
    kind = "Multi-AZUsage" if many else "InstanceUsage"
    if facts.get("engine") == "postgres":
        attributes = f"{deployment};licenseModel=No license required"
        usage_type = bare(region, f"{kind}:{facts.get('instanceClass')}")
        yield hourly("AmazonRDS", usage_type, attributes, assumption="two instances" if many else "")
    else:
        yield unknown("AmazonRDS", bare(region, kind), "Hrs", f"engine {facts.get('engine')} has no prices here")
    size, medium = int(facts.get("allocatedStorage") or 0), str(facts.get("storageType") or "gp2").upper()
    zone = "Multi-AZ-" if many else ""
    storage = Meter("AmazonRDS", bare(region, f"RDS:{zone}{medium}-Storage"), deployment)
    yield Use(storage, "GB-Mo", exactly(size), f"{size} GiB allocated", fixed=True)
    yield from _beyond(item, context, zone, deployment, size)
    if facts.get("databaseInsightsMode") == "advanced":
        yield unknown("AmazonRDS", "DatabaseInsights", "vCPU-Hrs", "advanced Database Insights has no price here")
    yield from _late(item, context)
    managed = exactly(context.usage.storage.managed_secrets)
    why = "RDS keeps the master password in a secret of its own"
    yield from used("AWSSecretsManager", prefixed(region, "AWSSecretsManager-Secrets"), "Secrets", managed, why)


def _beyond(item: Billed, context: Context, zone: str, deployment: str, size: int) -> Iterator[Use]:
    """IOPS above what the storage brings, and backups above the allocated storage."""
    baseline = STRIPED_IOPS if size >= STRIPED_FROM_GIB else BASELINE_IOPS
    more = int(item.facts.get("iops") or 0) - baseline
    if more > 0:
        meter = Meter("AmazonRDS", bare(item.region, f"RDS:{zone}GP3-PIOPS"), deployment)
        yield Use(meter, "IOPS-Mo", exactly(more), f"above the baseline of {baseline}", fixed=True)
    kept = context.usage.storage.database_backup_beyond_gb
    why = f"{SAID}: snapshots beyond the allocated storage"
    yield from used("AmazonRDS", bare(item.region, "RDS:ChargedBackupUsage"), "GB-Mo", kept, why, POSTGRESQL)


def _late(item: Billed, context: Context) -> Iterator[Use]:
    """Extended support is on unless the instance refuses it; AWS bills each vCPU, more from the third year on."""
    if item.facts.get("engineLifecycleSupport") == "open-source-rds-extended-support-disabled":
        return
    major = str(item.facts.get("engineVersion")).split(".")[0]
    ends = {row.version: row.standard_until for row in POSTGRESQL_SUPPORT}.get(major)
    kind = shape(str(item.facts.get("instanceClass")).removeprefix("db."))
    if ends is None or kind is None:
        why = f"extended support of PostgreSQL {major} on {item.facts.get('instanceClass')}: support dates or vCPUs unknown"
        yield unknown("AmazonRDS", "ExtendedSupport", "vCPU-hour", why)
    elif context.on > ends:
        years = "Yr3" if (context.on - ends).days > 2 * 365 else "Yr1-Yr2"
        vcpus = kind.vcpu * (2 if item.facts.get("multiAz") else 1)
        yield Use(
            Meter("AmazonRDS", bare(item.region, f"ExtendedSupport:{years}:PostgreSQL{major}")),
            "vCPU-hour",
            ALL_HOURS * vcpus,
            f"PostgreSQL {major} left standard support on {ends}; {vcpus} vCPUs, at the price of PostgreSQL 11's",
            fixed=True,
            priced_as=Meter("AmazonRDS", bare(item.region, f"ExtendedSupport:{years}:PostgreSQL11")),
        )


def cache(item: Billed, context: Context) -> Iterator[Use]:
    nodes, engine = int(item.facts.get("nodes") or 1), str(item.facts.get("engine")).capitalize()
    usage_type = bare(item.region, f"NodeUsage:{item.facts.get('nodeType')}")
    yield hourly("AmazonElastiCache", usage_type, f"cacheEngine={engine}", nodes, f"{nodes} nodes")
    if item.facts.get("snapshotDays"):
        kept = context.usage.storage.cache_backup_gb
        yield from used("AmazonElastiCache", bare(item.region, "BackupUsage"), "GB-Mo", kept, SAID)


def bucket(item: Billed, context: Context) -> Iterator[Use]:
    size = context.usage.storage.buckets.get(item.name)
    meter = Meter("AmazonS3", bare(item.region, "TimedStorage-ByteHrs"))
    yield Use(meter, "GB-Mo", size, SAID if size else f"the usage file does not say how much is in {item.name}")


def key(item: Billed, context: Context) -> Iterator[Use]:
    yield Use(Meter("awskms", f"{item.region}-KMS-Keys"), "Keys", exactly(1), fixed=True)
    keys = sum(other.type == item.type for other in context.resources)
    share = _shared(context.usage.storage.key_requests, keys)
    why = f"{SAID}, shared evenly by {keys} keys"
    yield from used("awskms", f"{item.region}-KMS-Requests", "Requests", share, why)


def secret(item: Billed, context: Context) -> Iterator[Use]:
    yield Use(
        Meter("AWSSecretsManager", prefixed(item.region, "AWSSecretsManager-Secrets")),
        "Secrets",
        exactly(1),
        fixed=True,
    )
    secrets = sum(other.type == item.type for other in context.resources)
    share = _shared(context.usage.storage.secret_requests, secrets)
    why = f"{SAID}, shared evenly by {secrets} secrets"
    yield from used(
        "AWSSecretsManager", prefixed(item.region, "AWSSecretsManagerAPIRequest"), "API Requests", share, why
    )


def registry(item: Billed, _: Context) -> Iterator[Use]:
    yield unknown(
        "AmazonECR", prefixed(item.region, "TimedStorage-ByteHrs"), "GB-Mo", "size of the images is not known"
    )


def vault(item: Billed, context: Context) -> Iterator[Use]:
    """Each vault holds the whole: the second one has the copies."""
    kept = context.usage.storage.backup_vault_gb
    yield from used("AWSBackup", prefixed(item.region, "WarmStorage-ByteHrs-RDS"), "GB-Mo", kept, SAID)


def restore_test(_: Billed, __: Context) -> Iterator[Use]:
    yield unknown(
        "AWSBackup",
        "RestoreTesting",
        "",
        "a restored database runs for hours in each test; AWS states no meter we have read",
    )


def _shared(amount: Range, among: int) -> Range:
    return Range(amount.low / among, amount.expected / among, amount.high / among)


RULES: Mapping[str, Rule] = {
    "aws:rds/instance:Instance": database,
    "aws:elasticache/replicationGroup:ReplicationGroup": cache,
    "aws:s3/bucket:Bucket": bucket,
    "aws:kms/key:Key": key,
    "aws:secretsmanager/secret:Secret": secret,
    "aws:ecr/repository:Repository": registry,
    "aws:backup/vault:Vault": vault,
    "aws:backup/restoreTestingPlan:RestoreTestingPlan": restore_test,
}
