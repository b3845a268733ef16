"""Whether backups can be restored: AWS Backup's answers, checked against its API's model, told as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from stacks.delivery.restore_drill import MONTH, RestoreTest, drills_of, judged, look
from stacks.terminal import Exit, Refused
from tests.aws_account import OTHER_ACCOUNT, aws_account
from tests.environments import settings_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLAN = {"RestoreTestingPlanArn": "arn:aws:backup:us-east-1:123456789012:restore-testing-plan:agents_prod-1"}
DATABASE = "arn:aws:rds:us-east-1:123456789012:db:agents-prod"


def job(days: float = 1, **changed: Any) -> dict[str, Any]:
    begun = NOW - timedelta(days=days)
    return {
        "Status": "COMPLETED",
        "CreationDate": begun,
        "CompletionDate": begun + timedelta(hours=1),
        "RecoveryPointCreationDate": begun - timedelta(hours=4),
        "SourceResourceArn": DATABASE,
        "CreatedBy": PLAN,
        "ValidationStatus": "TIMED_OUT",
        "DeletionStatus": "SUCCESSFUL",
        **changed,
    }


def asked(*pages: list[dict[str, Any]]) -> list[RestoreTest]:
    client = boto3.client("backup", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        question: dict[str, Any] = {"ByResourceType": "RDS", "ByCreatedAfter": NOW - MONTH}
        for number, rows in enumerate(pages, 1):
            more = {"NextToken": str(number)} if number < len(pages) else {}
            stub.add_response("list_restore_jobs", {"RestoreJobs": rows, **more}, question)
            question = {**question, **more}
        return drills_of(client, "agents-prod", NOW)


def test_only_tests_of_this_database_count_on_every_page_newest_first() -> None:
    by_people, other = job(CreatedBy={}), job(SourceResourceArn=DATABASE.replace("prod", "stage"))
    assert [test.begun for test in asked([job(9), by_people], [other, job(2)])] == [
        NOW - timedelta(days=2),
        NOW - timedelta(days=9),
    ]


def test_a_restored_database_passes_and_the_report_says_that_nobody_looked_at_its_data() -> None:
    seen = judged("prod", asked([job()]), NOW)
    assert seen.code is Exit.OK
    assert "passed" in seen.text()
    assert "| 2026-11-20 12:00 | completed | 1.0 h | 4.0 h | not looked at |" in seen.text()
    assert "| validated |" in judged("prod", asked([job(ValidationStatus="SUCCESSFUL")]), NOW).text()


@pytest.mark.parametrize(
    ("jobs", "reason"),
    [
        ([], "no test ended in 31 days"),
        ([job(Status="RUNNING")], "no test ended in 31 days"),
        ([job(Status="FAILED", StatusMessage="no subnet|group"), job(3)], "ended as FAILED: no subnet\\|group"),
        ([job(Status="ABORTED")], "ended as ABORTED: no reason given"),
        ([job(ValidationStatus="FAILED", ValidationStatusMessage="rows are missing")], "not valid: rows are missing"),
        ([job(DeletionStatus="FAILED", DeletionStatusMessage="in use")], "was not deleted and costs money: in use"),
        ([job(7.1)], "it is 7 days old"),
    ],
)
def test_a_drill_that_does_not_do_fails_with_its_reason(jobs: list[dict[str, Any]], reason: str) -> None:
    seen = judged("prod", asked(jobs), NOW)
    assert seen.code is Exit.FAILED
    assert reason in seen.text()


def test_a_failure_that_a_newer_test_made_good_passes_and_is_still_listed() -> None:
    seen = judged("prod", asked([job(), job(4, Status="FAILED"), job(0, Status="RUNNING")]), NOW)
    assert seen.code is Exit.OK
    assert "| failed |" in seen.text()


def test_an_account_that_cannot_be_asked_is_told_from_a_drill_that_failed() -> None:
    with aws_account(OTHER_ACCOUNT):
        seen = look(settings_of("prod"), "prod", NOW)
    assert seen.code is Exit.MISSING
    assert "is not known" in seen.text()


def test_an_environment_without_backups_has_no_drill() -> None:
    with pytest.raises(Refused, match=r"backup\.enabled=false"):
        look(settings_of("dev"), "dev", NOW)
