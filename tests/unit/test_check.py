"""The pre-flight tells apart what passes, what fails and what it could not see."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import boto3
import pytest
from botocore.stub import Stubber

from infra.versions import ADD_ONS
from stacks import check
from stacks.account import open_account
from stacks.terminal import Exit, run_command
from tests.aws_account import aws_account
from tests.environments import settings_of

PIN = ADD_ONS["vpc-cni"]


def statuses(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return {row["check"]: row["status"] for row in json.loads(capsys.readouterr().out)}


def test_offline_says_what_it_could_not_check_and_names_the_unverified_pins(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(check.main, ["prod", "--offline", "--on", "2026-11-21", "--json"]) == Exit.OK
    text = capsys.readouterr().out
    assert "metrics-server" in text
    assert {row["check"]: row["status"] for row in json.loads(text)} == {
        "settings": "pass",
        "version support": "pass",
        "AWS": "could not check",
    }


def test_what_could_not_be_checked_fails_where_it_is_told_to() -> None:
    assert run_command(check.main, ["dev", "--offline", "--strict", "--on", "2026-11-21"]) == Exit.FAILED


def test_a_date_after_the_end_of_support_fails_and_a_near_one_warns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(check.main, ["dev", "--offline", "--on", "2027-08-03", "--json"]) == Exit.FAILED
    assert statuses(capsys)["version support"] == "fail"
    assert run_command(check.main, ["dev", "--offline", "--on", "2027-06-01", "--json"]) == Exit.OK
    assert statuses(capsys)["version support"] == "warn"


def test_support_is_a_function_of_the_date_it_is_given() -> None:
    settings = settings_of("dev")
    assert [finding.status for finding in check.support(settings, date(2026, 11, 21))] == ["pass"]


def test_a_role_that_does_not_exist_and_a_caller_who_is_no_deployer_fail() -> None:
    settings = settings_of("dev")
    with aws_account():
        account = open_account(settings, "dev")
        before = list(check.access(account, settings))
        assert [finding.status for finding in before] == ["fail", "fail"]
        assert "agents-deploy-dev does not exist" in before[0].detail
        account.session.client("iam").create_role(RoleName="agents-deploy-dev", AssumeRolePolicyDocument="{}")
        (role, caller) = check.access(account, settings)
    assert role.status == "pass"
    assert caller.status == "fail"  # moto's caller is its root user, not that role


def test_a_caller_who_took_a_deployers_role_passes() -> None:
    settings = settings_of("dev")
    with aws_account() as session:
        arn = session.client("iam").create_role(RoleName="agents-deploy-dev", AssumeRolePolicyDocument="{}")["Role"][
            "Arn"
        ]
        taken = session.client("sts").assume_role(RoleArn=arn, RoleSessionName="ci")["Credentials"]
        as_role = boto3.Session(
            aws_access_key_id=taken["AccessKeyId"],
            aws_secret_access_key=taken["SecretAccessKey"],
            aws_session_token=taken["SessionToken"],
            region_name="us-east-1",
        )
        account = replace(open_account(settings, "dev"), session=as_role)
        assert [finding.status for finding in check.access(account, settings)] == ["pass", "pass"]


# moto answers no DescribeAddonVersions, so this one call is botocore's own stub, checked against the API's model.
@pytest.mark.parametrize(
    ("versions", "status"), [([PIN.version, "v9"], "pass"), (["v9.9.9-eksbuild.1"], "fail"), ([], "fail")]
)
def test_a_pin_that_eks_does_not_offer_fails_and_the_newest_offered_is_named(versions: list[str], status: str) -> None:
    client = boto3.client("eks", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        rows = [{"addonName": PIN.name, "addonVersions": [{"addonVersion": version} for version in versions]}]
        asked = {"addonName": PIN.name, "kubernetesVersion": "1.36"}
        stub.add_response("describe_addon_versions", {"addons": rows}, asked)
        (finding,) = check.offered(client, "1.36", (PIN,))
    assert finding.status == status
    if status == "fail":
        assert (versions[0] if versions else "none") in finding.detail
