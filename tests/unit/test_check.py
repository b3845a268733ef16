"""The pre-flight tells apart what passes, what fails and what it could not see."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from infra.versions import ADD_ONS
from stacks import check, offers, standing, version_offers
from stacks.account import open_account
from stacks.findings import PASS, Finding
from stacks.terminal import Exit, run_command
from tests.aws_account import aws_account
from tests.environments import settings_of

PIN = ADD_ONS["vpc-cni"]


def statuses(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return {row["check"]: row["status"] for row in json.loads(capsys.readouterr().out)}


def test_offline_says_what_it_could_not_check_and_names_the_unverified_pins(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(check.main, ["prod", "--offline", "--on", "2026-11-21", "--json"]) == Exit.OK
    text = capsys.readouterr().out
    assert "no source shows with Kubernetes 1.36: kube-prometheus-stack 88.5.3, prometheus-operator-crds 31.0.1" in text
    assert {row["check"]: row["status"] for row in json.loads(text)} == {
        "settings": "pass",
        "version support": "pass",
        "support promise": "pass",
        "budget": "pass",
        "prices": "could not check",
        "AWS": "could not check",
    }


def test_what_could_not_be_checked_fails_where_it_is_told_to() -> None:
    assert run_command(check.main, ["dev", "--offline", "--strict", "--on", "2026-11-21"]) == Exit.FAILED


def test_a_date_after_the_end_of_support_fails_and_a_near_one_warns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(check.main, ["dev", "--offline", "--on", "2027-08-03", "--json"]) == Exit.FAILED
    assert statuses(capsys)["version support"] == "fail"
    assert run_command(check.main, ["dev", "--offline", "--on", "2027-06-01", "--json"]) == Exit.OK
    assert statuses(capsys)["version support"] == "warn"


def test_the_promise_of_support_warns_sixty_days_before_it_ends_and_fails_after() -> None:
    settings = settings_of("dev")
    through = settings.support.through
    days = {60: "pass", 59: "warn", 0: "warn", -1: "fail"}
    assert {left: check.promise(settings, through - timedelta(days=left)).status for left in days} == days
    assert f"support.through={through}: 59 days away" in check.promise(settings, through - timedelta(days=59)).detail


def test_one_question_that_aws_refuses_leaves_the_others_answered(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DescribeAlarms")

    monkeypatch.setattr(standing, "alarms", denied)

    def offered(*_: object) -> Finding:
        return Finding("version", PASS, "")

    def add_ons(*_: object) -> list[Finding]:
        return [Finding("add-on vpc-cni", PASS, "")]

    # What moto does not know.
    monkeypatch.setattr(offers, "add_ons", add_ons)
    for name in ("kubernetes", "node_image", "postgresql", "valkey"):
        monkeypatch.setattr(version_offers, name, offered)
    with aws_account():
        assert run_command(check.main, ["dev", "--on", "2026-11-21", "--json"]) == Exit.FAILED  # its role is not there
    rows = {row["check"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["alarms"]["status"] == "could not check"
    assert "DescribeAlarms answered AccessDenied" in rows["alarms"]["detail"]
    told = {name: rows[name]["status"] for name in ("access", "zone", "instance type", "backups", "migrations")}
    assert told == dict.fromkeys(told, "pass") | {"access": "fail"}
    assert rows["add-on vpc-cni"]["status"] == "pass"


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
        (finding,) = offers.add_ons(client, "1.36", (PIN,))
    assert finding.status == status
    if status == "fail":
        assert (versions[0] if versions else "none") in finding.detail


def of_zones(changes: dict[str, Any]) -> list[tuple[str, str]]:
    with aws_account() as session:
        found = offers.zones(session.client("ec2"), settings_of("dev", changes))
        return [(finding.status, finding.detail) for finding in found]


def test_zones_of_the_account_in_which_eks_takes_a_control_plane_pass() -> None:
    assert of_zones({}) == [("pass", "us-east-1a is use1-az6"), ("pass", "us-east-1b is use1-az1")]


def test_a_zone_that_the_account_lacks_or_eks_does_not_take_fails_and_others_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What a region has is checked at synthesis; here the same letters mean another zone in this account.
    monkeypatch.setattr(offers, "NO_CONTROL_PLANE", {"use1-az6"})
    ((status, detail), *_) = of_zones({})
    assert status == "fail"
    assert "network.zones.0.name=us-east-1a: is use1-az6 in this account" in detail
    assert detail.endswith("us-east-1b, us-east-1c, us-east-1d, us-east-1e, us-east-1f.")
    with aws_account() as session:
        elsewhere = session.client("ec2", region_name="us-west-2")
        (finding, *_) = offers.zones(elsewhere, settings_of("dev"))
    assert finding.status == "fail"
    assert "network.zones.0.name=us-east-1a: this account has no such zone. Name others of us-west-2a" in finding.detail


def offerings(*offered: tuple[str, str]) -> list[tuple[str, str]]:
    """The findings about m7i.large and m6i.large as system nodes; workers are offered everywhere unless named."""
    settings = settings_of("dev")
    client = boto3.client("ec2", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    rows = [*offered, *((name, f"us-east-1{zone}") for name in settings.nodes.workers.instance_types for zone in "ab")]
    with Stubber(client) as stub:
        answer = {"InstanceTypeOfferings": [{"InstanceType": name, "Location": zone} for name, zone in rows]}
        stub.add_response("describe_instance_type_offerings", answer)
        return [(row.status, row.detail) for row in offers.instance_types(client, settings)]


def test_instance_types_are_asked_of_every_zone() -> None:
    with aws_account() as session:
        found = list(offers.instance_types(session.client("ec2"), settings_of("prod")))
    assert [finding.status for finding in found] == ["pass", "pass"]


# moto offers every type in every zone of us-east-1, so these answers are botocore's stub.
def test_a_type_missing_in_one_zone_warns_in_all_fails_and_so_does_a_zone_without_any() -> None:
    one, everywhere = ("m7i.large", "us-east-1a"), [("m6i.large", "us-east-1a"), ("m6i.large", "us-east-1b")]
    assert [row[0] for row in offerings(one, *everywhere)] == ["warn", "pass"]
    (status, detail), _ = offerings(*everywhere)
    assert status == "fail"
    assert detail == "nodes.system.instanceTypes=m7i.large: is offered in none of our zones. Choose another type."
    found = offerings(one, everywhere[0])
    assert [row[0] for row in found] == ["warn", "warn", "fail", "pass"]
    assert "none of them is offered in us-east-1b" in found[2][1]


def test_a_mounted_secret_needs_an_entry_and_a_value_before_pods_wait_for_it() -> None:
    names = ["jwt-signing-key", "provider/anthropic", "unheard-of"]
    settings = settings_of("dev", {"secrets": {"entries": names, "mounted": names}})
    with aws_account() as session:
        client = session.client("secretsmanager")
        client.create_secret(Name="agents-dev/jwt-signing-key", SecretString="a value")
        client.create_secret(Name="agents-dev/provider/anthropic")
        found = list(check.mounted(client, settings, "dev"))
    assert [finding.status for finding in found] == ["pass", "fail", "fail"]
    assert "python -m stacks.secrets set provider/anthropic --stack dev" in found[1].detail
    assert "secrets.mounted=unheard-of: has no entry under agents-dev/ yet" in found[2].detail
