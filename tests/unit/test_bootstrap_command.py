"""python -m stacks.bootstrap: what it prints, what it refuses, and that dev and prod share one account."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import boto3
import pytest
import yaml

from stacks.bootstrap.__main__ import main
from stacks.bootstrap.registry import REPOSITORY
from stacks.terminal import Exit, run_command
from tests.aws_account import ACCOUNT, OTHER_ACCOUNT, aws_account


@pytest.fixture
def session() -> Generator[boto3.Session]:
    with aws_account() as opened:
        yield opened


def test_without_apply_the_plan_is_shown_and_nothing_is_made(
    session: boto3.Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(main, ["dev"]) == Exit.OK
    shown = capsys.readouterr().out
    assert "18 to make; nothing was changed" in shown
    assert "python -m stacks.bootstrap dev --apply" in shown
    assert session.client("s3").list_buckets()["Buckets"] == []


def test_the_command_to_run_next_keeps_the_options_it_was_given(
    session: boto3.Session, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--alert-email", "a@example.com", "--alert-email", "b@example.com"]
    assert run_command(main, ["dev", "--reader-account", OTHER_ACCOUNT, *told]) == Exit.OK
    again = f"python -m stacks.bootstrap dev --reader-account {OTHER_ACCOUNT} {' '.join(told)} --apply"
    assert again in capsys.readouterr().out
    assert run_command(main, again.split()[3:]) == Exit.OK
    [subscription] = session.client("ce").get_anomaly_subscriptions()["AnomalySubscriptions"]
    assert [row.get("Address") for row in subscription["Subscribers"]] == ["a@example.com", "b@example.com"]


def test_dev_and_prod_share_what_the_first_of_them_made(
    session: boto3.Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(main, ["dev", "--apply", "--json"]) == Exit.OK
    made = json.loads(capsys.readouterr().out)
    assert run_command(main, ["prod", "--json"]) == Exit.OK
    shared = json.loads(capsys.readouterr().out)
    assert made["applied"]
    # Prod names somebody who is told of costs, and dev nobody.
    assert {step["step"] for step in shared["steps"] if step["action"] != "exists"} == {
        "cost anomaly monitor: subscription"
    }
    assert run_command(main, ["prod", "--apply", "--json"]) == Exit.OK
    shared = json.loads(capsys.readouterr().out)
    assert shared["settings"] == made["settings"]
    assert len(session.client("kms").list_keys()["Keys"]) == 1


def test_what_is_printed_at_the_end_can_be_pasted_and_run(
    session: boto3.Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(main, ["dev", "--apply"]) == Exit.OK
    shown = capsys.readouterr().out
    block = shown.partition("below config:\n")[2].partition("Then:\n")
    pasted: dict[str, Any] = yaml.safe_load("config:\n" + block[0])
    key = session.client("kms").list_keys()["Keys"][0].get("KeyArn")
    assert pasted["config"]["langgraph-eks:bootstrap"] == {
        "githubOidcProviderArn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com",
        "repositoryArn": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{REPOSITORY}",
        "secretsKeyArn": key,
        "stateBucketArn": f"arn:aws:s3:::langgraph-eks-state-{ACCOUNT}-us-east-1",
    }
    assert [line.strip() for line in block[2].splitlines()] == [
        f"pulumi login 's3://langgraph-eks-state-{ACCOUNT}-us-east-1?region=us-east-1'",
        'pulumi stack init dev --secrets-provider="awskms://alias/langgraph-eks-secrets?region=us-east-1"',
    ]


def test_another_account_than_the_configured_one_is_not_touched(capsys: pytest.CaptureFixture[str]) -> None:
    with aws_account(OTHER_ACCOUNT) as other:
        assert run_command(main, ["dev", "--apply"]) == Exit.BAD_INPUT
        assert other.client("s3").list_buckets()["Buckets"] == []
        assert other.client("kms").list_keys()["Keys"] == []
    said = capsys.readouterr().err
    for part in (f"account.id={ACCOUNT}", "Pulumi.dev.yaml", OTHER_ACCOUNT, "--profile"):
        assert part in said


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["staging"], ["stack=staging", "dev, prod"]),
        (["dev", "--reader-account", "prod"], ["--reader-account=prod", "12 digits"]),
        (["dev", "--reader-account", ACCOUNT], [f"--reader-account={ACCOUNT}", "this account itself"]),
        (["dev", "--alert-email", "oncall"], ["--alert-email=oncall", "somebody reads"]),
        (["dev", "--profile", "nobody"], ["nobody", "aws configure list-profiles"]),
    ],
)
def test_a_bad_argument_is_refused_with_its_remedy(
    session: boto3.Session, capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    assert run_command(main, arguments) == Exit.BAD_INPUT
    said = capsys.readouterr().err
    for part in parts:
        assert part in said


def test_a_machine_without_credentials_is_told_how_to_log_in(
    session: boto3.Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert run_command(main, ["dev"]) == Exit.MISSING
    assert "aws sso login" in capsys.readouterr().err


def test_what_only_a_person_may_mend_stops_the_run_before_it_makes_anything(
    session: boto3.Session, capsys: pytest.CaptureFixture[str]
) -> None:
    session.client("ecr").create_repository(repositoryName=REPOSITORY)
    assert run_command(main, ["dev", "--apply"]) == Exit.STATE
    assert session.client("s3").list_buckets()["Buckets"] == []
    assert "encrypted with AES256" in capsys.readouterr().err
