"""What became of AWS Backup's restore tests (infra/aws/backup.py plans them): a backup nobody restored is a hope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from infra.settings import Settings
from stacks.account import aws_errors, open_account
from stacks.review.markdown import cell
from stacks.terminal import Exit, Refused

if TYPE_CHECKING:
    from mypy_boto3_backup.client import BackupClient

# The tests run twice a week, and the alarm restore-drill-late rings after seven days without one that ended.
LATEST = timedelta(days=7)
MONTH = timedelta(days=31)


@dataclass(frozen=True)
class RestoreTest:
    """One test. ``problem`` is why it does not show that the database can be had back; empty while it runs, too."""

    begun: datetime
    status: str
    problem: str
    restored_in: timedelta | None
    backup_age: timedelta | None
    validated: bool

    @property
    def ended(self) -> bool:
        return self.status not in ("PENDING", "RUNNING")


@dataclass(frozen=True)
class Drill:
    """The tests of a month, newest first, and why the last one does not do; or why nothing could be seen."""

    stack: str
    tests: Sequence[RestoreTest] = ()
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
        rows = "".join(f"| {' | '.join(_row(test))} |\n" for test in self.tests)
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


def drills_of(client: BackupClient, database: str, now: datetime) -> list[RestoreTest]:
    """The restore tests of a database in the last month, newest first; restores that people began are left out."""
    pages = client.get_paginator("list_restore_jobs").paginate(ByResourceType="RDS", ByCreatedAfter=now - MONTH)
    found = [
        _test(job)
        for page in pages
        for job in page["RestoreJobs"]
        if job.get("SourceResourceArn", "").endswith(f":db:{database}")
        and job.get("CreatedBy", {}).get("RestoreTestingPlanArn")
    ]
    return sorted(found, key=lambda test: test.begun, reverse=True)


def judged(stack: str, tests: Sequence[RestoreTest], now: datetime) -> Drill:
    """Whether the newest test that has ended shows that the database can be had back."""
    newest = next((test for test in tests if test.ended), None)
    if newest is None:
        failure = f"no test ended in {MONTH.days} days"
    elif not newest.problem and now - newest.begun > LATEST:
        failure = f"it is {(now - newest.begun).days} days old, and one runs twice a week"
    else:
        failure = newest.problem
    return Drill(stack, tuple(tests), failure)


def _test(job: Mapping[str, Any]) -> RestoreTest:
    status, begun = job["Status"], job["CreationDate"]
    ended, point = job.get("CompletionDate"), job.get("RecoveryPointCreationDate")
    why = "no reason given"
    problem = ""
    if status not in ("PENDING", "RUNNING", "COMPLETED"):
        problem = f"it ended as {status}: {job.get('StatusMessage', why)}"
    elif job.get("ValidationStatus") == "FAILED":
        problem = f"its data is not valid: {job.get('ValidationStatusMessage', why)}"
    elif job.get("DeletionStatus") == "FAILED":
        problem = f"the restored copy was not deleted and costs money: {job.get('DeletionStatusMessage', why)}"
    validated = job.get("ValidationStatus") == "SUCCESSFUL"
    return RestoreTest(begun, status, problem, ended and ended - begun, point and begun - point, validated)


def _row(test: RestoreTest) -> list[str]:
    """One test for people. AWS restores and starts the instance; what is in it is valid only where somebody said so."""
    data = "validated" if test.validated else "not looked at"
    return [
        f"{test.begun:%Y-%m-%d %H:%M}",
        test.status.lower(),
        _hours(test.restored_in),
        _hours(test.backup_age),
        data,
    ]


def _hours(time: timedelta | None) -> str:
    return f"{time.total_seconds() / 3600:.1f} h" if time else ""
