"""What became of AWS Backup's restore tests (infra/aws/backup.py plans them): a backup nobody restored is a hope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from infra.settings import Settings
from stacks.account import aws_errors, open_account
from stacks.review.markdown import cell
from stacks.terminal import Exit, Refused

if TYPE_CHECKING:
    from mypy_boto3_backup.client import BackupClient
    from mypy_boto3_backup.type_defs import RestoreJobsListMemberTypeDef as Job

# The tests run twice a week, and the alarm restore-drill-late rings after seven days without one that ended.
LATEST = timedelta(days=7)
MONTH = timedelta(days=31)


@dataclass(frozen=True)
class Drill:
    """The tests of a month, newest first, and why the last one does not do; or why nothing could be seen."""

    stack: str
    jobs: Sequence[Job] = ()
    failure: str = ""
    unseen: str = ""

    @property
    def code(self) -> Exit:
        """0: restored; 1: not; 3: could not look."""
        return Exit.MISSING if self.unseen else Exit.FAILED if self.failure else Exit.OK

    def text(self) -> str:
        if self.unseen:
            return (
                f"Could not look at {self.stack}: whether a backup can be restored is not known.\n\n    {self.unseen}\n"
            )
        verdict = f"failed: {cell(self.failure)}" if self.failure else "passed"
        rows = "".join(f"| {' | '.join(_row(job))} |\n" for job in self.jobs)
        table = f"| begun | ended as | restored in | age of the backup | data |\n|---|---|---|---|---|\n{rows}"
        return f"The last restore test of {self.stack}'s database {verdict}.\n\n{table if rows else ''}"


def look(settings: Settings, stack: str, now: datetime, profile: str | None = None) -> Drill:
    """The drill's state on AWS. Raises Refused for an environment that has none."""
    if not settings.backup.enabled:
        raise Refused(f"backup.enabled=false: {stack} has no backups and no restore test. Choose another --stack.")
    try:
        with aws_errors("asking AWS Backup for its restore tests"):
            client = open_account(settings, stack, profile).session.client("backup")
            return judged(stack, drills_of(client, settings.name, now), now)
    except Refused as refusal:
        return Drill(stack, unseen=str(refusal))


def drills_of(client: BackupClient, database: str, now: datetime) -> list[Job]:
    """The restore tests of a database in the last month, newest first; restores that people began are left out."""
    pages = client.get_paginator("list_restore_jobs").paginate(ByResourceType="RDS", ByCreatedAfter=now - MONTH)
    jobs = [
        job
        for page in pages
        for job in page["RestoreJobs"]
        if job.get("SourceResourceArn", "").endswith(f":db:{database}")
        and job.get("CreatedBy", {}).get("RestoreTestingPlanArn")
    ]
    return sorted(jobs, key=lambda job: job["CreationDate"], reverse=True)


def judged(stack: str, jobs: Sequence[Job], now: datetime) -> Drill:
    """Whether the newest test that has ended shows that the database can be had back."""
    ended = [job for job in jobs if job["Status"] not in ("PENDING", "RUNNING")]
    return Drill(stack, tuple(jobs), _failure(ended[0], now) if ended else f"no test ended in {MONTH.days} days")


def _failure(job: Job, now: datetime) -> str:
    if job["Status"] != "COMPLETED":
        return f"it ended as {job['Status']}: {job.get('StatusMessage', 'no reason given')}"
    if job.get("ValidationStatus") == "FAILED":
        return f"its data is not valid: {job.get('ValidationStatusMessage', 'no reason given')}"
    if job.get("DeletionStatus") == "FAILED":
        return (
            f"the restored copy was not deleted and costs money: {job.get('DeletionStatusMessage', 'no reason given')}"
        )
    age = now - job["CreationDate"]
    return f"it is {age.days} days old, and one runs twice a week" if age > LATEST else ""


def _row(job: Job) -> list[str]:
    """One test for people. AWS restores and starts the instance; what is in it is valid only where somebody said so."""
    ended, point = job.get("CompletionDate"), job.get("RecoveryPointCreationDate")
    return [
        f"{job['CreationDate']:%Y-%m-%d %H:%M}",
        job["Status"].lower(),
        _hours(ended - job["CreationDate"]) if ended else "",
        _hours(job["CreationDate"] - point) if point else "",
        "validated" if job.get("ValidationStatus") == "SUCCESSFUL" else "not looked at",
    ]


def _hours(time: timedelta) -> str:
    return f"{time.total_seconds() / 3600:.1f} h"
