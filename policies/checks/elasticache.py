"""ElastiCache: encryption, sign-in, availability, eviction."""

from __future__ import annotations

from policies.check import Subject, check
from policies.links import linked
from policies.properties import NotEvaluated, Properties

GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
PARAMETER_GROUP = "aws:elasticache/parameterGroup:ParameterGroup"


@check(
    "cache-encrypted-at-rest",
    "The cache is encrypted at rest with a key of ours",
    severity="high",
    types=(GROUP,),
    remedy="Set atRestEncryptionEnabled and kmsKeyId. On an existing group this is a replacement.",
    controls={"AWS FSBP": ("ElastiCache.4",), "SOC 2": ("CC6.1",)},
    references=("CKV_AWS_29", "CKV_AWS_191", "AWS-0045"),
)
def encrypted_at_rest(group: Subject) -> str | None:
    """Snapshots and swap hold pieces of conversations."""
    if not group.properties.flag("atRestEncryptionEnabled"):
        return "atRestEncryptionEnabled is not true"
    return None if group.properties.has("kmsKeyId") else "kmsKeyId is not set"


@check(
    "cache-encrypted-in-transit",
    "The cache takes TLS only",
    severity="high",
    types=(GROUP,),
    remedy="Set transitEncryptionEnabled and transitEncryptionMode required.",
    controls={"AWS FSBP": ("ElastiCache.5",), "SOC 2": ("CC6.7",)},
    references=("CKV_AWS_30", "AWS-0051"),
)
def encrypted_in_transit(group: Subject) -> str | None:
    """Mode preferred takes clear text from whoever forgets the s in rediss."""
    if not group.properties.flag("transitEncryptionEnabled"):
        return "transitEncryptionEnabled is not true"
    mode = group.properties.text("transitEncryptionMode")
    return None if mode == "required" else f"transitEncryptionMode is {mode or 'not set'}"


@check(
    "cache-sign-in",
    "The cache asks who connects",
    severity="high",
    types=(GROUP,),
    remedy="Set userGroupIds with IAM users.",
    controls={"AWS FSBP": ("ElastiCache.6",), "SOC 2": ("CC6.1",)},
    references=("CKV_AWS_31",),
)
def sign_in(group: Subject) -> str | None:
    """Without it whoever reaches the port reads and writes everything."""
    given = group.properties.has("userGroupIds") or group.properties.has("authToken")
    return None if given else "neither userGroupIds nor authToken is set"


@check(
    "cache-failover",
    "The cache has a replica in another zone and fails over to it",
    severity="medium",
    types=(GROUP,),
    remedy="Set automaticFailoverEnabled, multiAzEnabled and at least two nodes.",
    controls={"AWS FSBP": ("ElastiCache.3",), "SOC 2": ("A1.2",)},
    references=("CKV2_AWS_50",),
)
def failover(group: Subject) -> str | None:
    """Runs survive without the cache, but every one of them wakes by polling until it is back."""
    for key in ("automaticFailoverEnabled", "multiAzEnabled"):
        if not group.properties.flag(key):
            return f"{key} is not true"
    nodes = group.properties.number("numCacheClusters") or group.properties.number("replicasPerNodeGroup") or 0
    return None if nodes >= 1 and group.properties.number("numCacheClusters") != 1 else "it has no replica"


@check(
    "cache-snapshots",
    "A cache that holds more than copies is backed up",
    severity="low",
    types=(GROUP,),
    scope="stack",
    remedy="Set snapshotRetentionLimit, or let the group evict (maxmemory-policy allkeys-…).",
    controls={"AWS FSBP": ("ElastiCache.1",), "SOC 2": ("A1.2",)},
    references=("CKV_AWS_134", "AWS-0050"),
)
def snapshots(group: Subject) -> str | None:
    """What may be evicted at any time may be lost; the rest should not be."""
    if group.properties.number("snapshotRetentionLimit") or eviction(group).startswith("allkeys-"):
        return None
    return "snapshotRetentionLimit is 0 or not set"


@check(
    "cache-minor-upgrades",
    "The cache's minor versions come by themselves",
    severity="medium",
    types=(GROUP,),
    remedy="Set autoMinorVersionUpgrade.",
    controls={"AWS FSBP": ("ElastiCache.2",), "SOC 2": ("CC7.1",)},
    references=("CKV_AWS_322",),
)
def minor_upgrades(group: Subject) -> str | None:
    """Most of them are fixes of remote code execution in scripts."""
    return None if group.properties.flag("autoMinorVersionUpgrade") else "autoMinorVersionUpgrade is not true"


@check(
    "cache-own-subnets",
    "The cache is in subnets of its own choosing",
    severity="high",
    types=(GROUP,),
    remedy="Set subnetGroupName to a group of data subnets.",
    controls={"AWS FSBP": ("ElastiCache.7",), "SOC 2": ("CC6.6",)},
    references=("CKV_AWS_323",),
)
def own_subnets(group: Subject) -> str | None:
    """The default group holds every subnet of the VPC, public ones too."""
    if not group.properties.has("subnetGroupName"):
        return "subnetGroupName is not set"
    try:
        name = group.properties.text("subnetGroupName")
    except NotEvaluated:
        return None  # it comes from a resource, which the default group does not
    return "subnetGroupName is default" if name == "default" else None


@check(
    "cache-version-supported",
    "The cache runs Valkey, or Redis 7",
    severity="medium",
    types=(GROUP,),
    remedy="Set engine valkey and a present engineVersion.",
    controls={"SOC 2": ("CC7.1",)},
)
def version_supported(group: Subject) -> str | None:
    """Older Redis versions are in extended support, at 80 % more (AWS announcement, from February 2026)."""
    engine = group.properties.text("engine")
    major = int((group.properties.text("engineVersion") or "0").partition(".")[0] or 0)
    if engine == "valkey":
        return None if major >= 7 else f"engineVersion={major} of valkey"
    return None if major >= 7 else f"engine {engine or 'redis'} {major or 'without a version'}"


@check(
    "cache-eviction-fits",
    "What a cache does when it is full is chosen, not left to chance",
    severity="high",
    types=(GROUP,),
    scope="stack",
    remedy="Attach a parameter group with maxmemory-policy noeviction (streams, limits) or allkeys-lru (copies).",
    controls={"SOC 2": ("A1.2",)},
    parameters={"policies": ["noeviction", "allkeys-lru", "allkeys-lfu"]},
)
def eviction_fits(group: Subject) -> str | None:
    """AWS's default volatile-lru throws away rate limits first, and refuses writes when nothing else expires."""
    found = eviction(group)
    return None if found in group.parameters["policies"] else f"maxmemory-policy is {found or 'the default'}"


def eviction(group: Subject) -> str:
    for parameters in linked(group, "parameterGroupName", PARAMETER_GROUP):
        for parameter in Properties(parameters.inputs).parts("parameters"):
            if parameter.text("name") == "maxmemory-policy":
                return parameter.text("value") or ""
    return ""
