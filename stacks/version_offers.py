"""Whether AWS offers the pinned versions: Kubernetes, the nodes' image, PostgreSQL on its class, Valkey."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.settings import Settings
from infra.versions import NODE_IMAGE, POSTGRESQL, VALKEY
from stacks.findings import FAIL, PASS, WARN, Finding

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_eks.client import EKSClient
    from mypy_boto3_elasticache.client import ElastiCacheClient
    from mypy_boto3_rds.client import RDSClient


def kubernetes(eks: EKSClient, settings: Settings) -> Finding:
    """Whether EKS makes clusters of the version, and whether at the standard price."""
    version = settings.cluster.version
    rows = eks.describe_cluster_versions(clusterVersions=[version])["clusterVersions"]
    status = rows[0].get("versionStatus", "") if rows else "UNSUPPORTED"
    if status == "STANDARD_SUPPORT":
        return Finding("kubernetes", PASS, f"EKS offers {version} in standard support")
    grave = FAIL if status == "UNSUPPORTED" else WARN  # extended support costs extra for each hour (EKS pricing)
    return Finding("kubernetes", grave, f"cluster.version={version}: {status} on EKS. Choose a newer one.")


def node_image(ec2: EC2Client, settings: Settings) -> Finding:
    """Whether the image that nodes start from is still there: AWS withdraws old ones."""
    version = settings.cluster.version
    # The name of EKS's own images (awslabs/amazon-eks-ami, releases); NODE_RELEASE of the system group is the same build.
    name = f"amazon-eks-node-{NODE_IMAGE.name}-x86_64-standard-{version}-{NODE_IMAGE.version}"
    if ec2.describe_images(Owners=["amazon"], Filters=[{"Name": "name", "Values": [name]}])["Images"]:
        return Finding("node image", PASS, name)
    return Finding(
        "node image", FAIL, f"versions.NODE_IMAGE={NODE_IMAGE.version}: there is no {name}. Pin a newer one."
    )


def postgresql(rds: RDSClient, settings: Settings) -> Finding:
    """Whether RDS offers the major version on the class in every zone of ours."""
    pages = rds.get_paginator("describe_db_engine_versions").paginate(Engine="postgres")
    found = [row.get("EngineVersion", "") for page in pages for row in page["DBEngineVersions"]]
    minors = [version for version in found if version.split(".")[0] == POSTGRESQL]
    if not minors:
        return Finding(
            "postgresql", FAIL, f"versions.POSTGRESQL={POSTGRESQL}: RDS does not offer it. Choose another major."
        )
    chosen = settings.database.instance_class
    options = rds.get_paginator("describe_orderable_db_instance_options").paginate(
        Engine="postgres", EngineVersion=minors[-1], DBInstanceClass=chosen
    )
    rows = [row for page in options for row in page["OrderableDBInstanceOptions"]]
    offered = {zone.get("Name", "") for row in rows for zone in row.get("AvailabilityZones", [])}
    lacking = [zone.name for zone in settings.network.zones if zone.name not in offered]
    if lacking:
        where = f"database.instanceClass={chosen}: RDS has none with {minors[-1]} in {', '.join(lacking)}"
        return Finding("postgresql", FAIL, f"{where}. Choose another class or zone.")
    return Finding("postgresql", PASS, f"RDS offers {minors[-1]} on {chosen} in every zone")


def valkey(elasticache: ElastiCacheClient) -> Finding:
    """Whether ElastiCache offers the version."""
    pages = elasticache.get_paginator("describe_cache_engine_versions").paginate(Engine="valkey")
    found = [row.get("EngineVersion", "") for page in pages for row in page["CacheEngineVersions"]]
    if any(version == VALKEY or version.startswith(f"{VALKEY}.") for version in found):
        return Finding("valkey", PASS, f"ElastiCache offers {VALKEY}")
    rule = f"ElastiCache offers {', '.join(found) or 'none'}"
    return Finding("valkey", FAIL, f"versions.VALKEY={VALKEY}: {rule}. Choose one of these.")
