"""What stands before an ``up``: the image and its scan, how fresh backups are, alarms, and whether the budget holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from infra.settings import Settings
from stacks.capture import capture
from stacks.cost.amounts import dollars
from stacks.cost.estimate import estimate
from stacks.cost.prices import load
from stacks.cost.usage import read
from stacks.findings import FAIL, PASS, UNSEEN, WARN, Finding
from stacks.terminal import Refused

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_rds import RDSClient

# RDS uploads transaction logs every five minutes (RDS user guide, "Restoring to a point in time"): an hour is a fault.
_FRESH = timedelta(hours=1)


def image(ecr: ECRClient, settings: Settings) -> Finding:
    """Whether the image of the settings is in the registry, and what its scan found."""
    reference = settings.service.image
    if reference is None:
        return Finding("image", WARN, "service.image is not set: the platform comes up without the service")
    name, _, digest = reference.partition("@")
    if ".dkr.ecr." not in name:
        return Finding("image", UNSEEN, f"{name} is not in ECR: whether it exists and was scanned is not known here")
    repository = name.partition("/")[2]
    try:
        answer = ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageDigest": digest})
    except (ecr.exceptions.ImageNotFoundException, ecr.exceptions.RepositoryNotFoundException):
        return Finding("image", FAIL, f"service.image={reference}: is not in the registry. Push it first.")
    except ecr.exceptions.ScanNotFoundException:
        return Finding("image", UNSEEN, f"{name} is there and has no scan. Enable scanning, or wait for it.")
    counts = answer.get("imageScanFindings", {}).get("findingSeverityCounts", {})
    grave = {level: counts[level] for level in ("CRITICAL", "HIGH") if counts.get(level)}
    told = ", ".join(f"{count} {level.lower()}" for level, count in grave.items())
    return Finding("image", FAIL if grave else PASS, f"{name}: {told or 'no high or critical finding'}")


def backups(rds: RDSClient, settings: Settings, now: datetime) -> Finding:
    """To when the database could be taken back; before the first ``up`` there is none."""
    try:
        [row] = rds.describe_db_instances(DBInstanceIdentifier=settings.name)["DBInstances"]
    except rds.exceptions.DBInstanceNotFoundFault:
        return Finding("backups", PASS, "there is no database yet")
    latest = row.get("LatestRestorableTime")
    if latest is None or now - latest > _FRESH:
        return Finding("backups", FAIL, f"{settings.name}: restorable to {latest or 'no time'}. Look at RDS's events.")
    return Finding("backups", PASS, f"{settings.name}: restorable to {latest:%Y-%m-%d %H:%M} UTC")


def alarms(cloudwatch: CloudWatchClient, settings: Settings) -> Finding:
    """Whether an alarm of the environment rings: a change on top of a fault hides the fault."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=settings.name, StateValue="ALARM")
    ringing = [alarm.get("AlarmName", "") for page in pages for alarm in page["MetricAlarms"]]
    if ringing:
        return Finding("alarms", FAIL, f"{len(ringing)} alarms ring: {', '.join(ringing[:5])}. Settle them first.")
    return Finding("alarms", PASS, f"no alarm of {settings.name} rings")


def budget(settings: Settings, stack: str, on: date) -> Iterator[Finding]:
    """Whether the expected month fits the budget."""
    try:
        found = estimate(capture(settings, stack), read(stack), load(), on)
    except Refused as refusal:
        yield Finding("budget", UNSEEN, str(refusal))
        return
    limit, expected = Decimal(settings.budget.monthly_usd), found.total.expected
    text = f"{dollars(expected)} expected a month, budget {dollars(limit)}"
    yield Finding("budget", PASS if expected <= limit else FAIL, text)
    if found.unpriced:
        yield Finding("prices", UNSEEN, f"{len(found.unpriced)} meters have no price and are not in it")
