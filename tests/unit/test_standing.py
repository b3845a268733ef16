"""What stands before an up, asked of a stand-in AWS: image and scan, backups, alarms; and the budget, asked of nobody."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from stacks import standing
from tests.environments import settings_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DIGEST = f"sha256:{'1' * 64}"
SETTINGS = settings_of("dev", {"service.image": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/agents@{DIGEST}"})
KEYS: dict[str, Any] = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}


@pytest.mark.parametrize(
    ("counts", "status"), [({"HIGH": 2}, "fail"), ({"CRITICAL": 1}, "fail"), ({"LOW": 9}, "pass"), ({}, "pass")]
)
def test_a_scan_decides_on_an_image(counts: dict[str, int], status: str) -> None:
    ecr = boto3.client("ecr", **KEYS)
    with Stubber(ecr) as stub:
        asked = {"repositoryName": "agents", "imageId": {"imageDigest": DIGEST}}
        stub.add_response(
            "describe_image_scan_findings", {"imageScanFindings": {"findingSeverityCounts": counts}}, asked
        )
        assert standing.image(ecr, SETTINGS).status == status


@pytest.mark.parametrize(
    ("code", "status"), [("ImageNotFoundException", "fail"), ("ScanNotFoundException", "could not check")]
)
def test_an_image_that_is_absent_fails_and_one_without_a_scan_is_not_known(code: str, status: str) -> None:
    ecr = boto3.client("ecr", **KEYS)
    with Stubber(ecr) as stub:
        stub.add_client_error("describe_image_scan_findings", code)
        assert standing.image(ecr, SETTINGS).status == status


@pytest.mark.parametrize(("age", "status"), [(timedelta(minutes=5), "pass"), (timedelta(hours=2), "fail")])
def test_old_backups_fail(age: timedelta, status: str) -> None:
    rds = boto3.client("rds", **KEYS)
    with Stubber(rds) as stub:
        stub.add_response("describe_db_instances", {"DBInstances": [{"LatestRestorableTime": NOW - age}]})
        assert standing.backups(rds, SETTINGS, NOW).status == status
        stub.add_client_error("describe_db_instances", "DBInstanceNotFound")
        assert standing.backups(rds, SETTINGS, NOW).status == "pass"


@pytest.mark.parametrize(("ringing", "status"), [([], "pass"), ([{"AlarmName": "agents-dev-x"}], "fail")])
def test_an_alarm_that_rings_fails(ringing: list[dict[str, str]], status: str) -> None:
    cloudwatch = boto3.client("cloudwatch", **KEYS)
    with Stubber(cloudwatch) as stub:
        stub.add_response("describe_alarms", {"MetricAlarms": ringing})
        assert standing.alarms(cloudwatch, SETTINGS).status == status


def test_the_budget_is_judged_from_the_graph_and_says_what_it_leaves_out() -> None:
    held, *unpriced = standing.budget(SETTINGS, "dev", date(2026, 11, 21))
    assert held.status == "pass"
    assert all(row.status == "could not check" for row in unpriced)
    over, *_ = standing.budget(settings_of("dev", {"budget.monthlyUsd": 100}), "dev", date(2026, 11, 21))
    assert over.status == "fail"
