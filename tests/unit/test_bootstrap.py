"""The bootstrap makes what an account has once, mends what drifted, and may be stopped anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from stacks.account import Account
from stacks.bootstrap.identity import GITHUB
from stacks.bootstrap.plan import STEPS, apply, blocked, pending, plan
from stacks.bootstrap.policy import holds, with_statement
from stacks.bootstrap.registry import REPOSITORY
from stacks.bootstrap.secrets_key import ALIAS
from stacks.bootstrap.state_bucket import bucket_name
from stacks.bootstrap.step import Target
from stacks.terminal import Exit, Refused
from tests.aws_account import ACCOUNT, OTHER_ACCOUNT, aws_account, new_session

BUCKET = bucket_name(ACCOUNT, "us-east-1")
ONCALL = "oncall@example.com"
WRITES = 19  # calls that change something in a first run, one a step


@pytest.fixture
def session() -> Generator[boto3.Session]:
    with aws_account() as opened:
        yield opened


def target_of(
    session: boto3.Session, reader: str | None = None, region: str = "us-east-1", emails: tuple[str, ...] = (ONCALL,)
) -> Target:
    return Target.of(Account(ACCOUNT, region, "aws", session), reader, emails)


def bootstrap(target: Target) -> list[str]:
    """One whole run; the names of the steps that were made."""
    return [row.step.name for row in apply(target, plan(target))]


def found(target: Target) -> dict[str, tuple[str, str]]:
    return {row.step.name: (str(row.finding.action), row.finding.reason) for row in plan(target)}


def test_an_empty_account_lacks_everything_and_looking_makes_nothing(session: boto3.Session) -> None:
    for _ in range(2):
        rows = plan(target_of(session))
        assert [row.step.name for row in rows if row.finding.action != "create"] == ["registry: readers"]
    assert session.client("s3").list_buckets()["Buckets"] == []
    assert session.client("kms").list_keys()["Keys"] == []


def test_a_second_run_finds_nothing_to_do(session: boto3.Session) -> None:
    assert len(bootstrap(target_of(session))) == WRITES
    again = target_of(session)
    assert bootstrap(again) == []
    assert all(again.arns.settings().values())


def test_the_state_bucket_is_closed_versioned_encrypted_with_our_key_and_takes_tls_only(session: boto3.Session) -> None:
    target = target_of(session)
    bootstrap(target)
    s3 = session.client("s3")
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_versioning(Bucket=BUCKET).get("Status") == "Enabled"
    rule = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule.get("ApplyServerSideEncryptionByDefault") == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": target.arns.secrets_key,
    }
    [statement] = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    ownership = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rule.get("Expiration") is None, "the current state must never expire"


def test_the_bucket_is_made_in_the_region_of_the_stack() -> None:
    with aws_account() as session:
        elsewhere = new_session("eu-west-1")
        bootstrap(target_of(elsewhere, region="eu-west-1"))
        location = session.client("s3").get_bucket_location(Bucket=bucket_name(ACCOUNT, "eu-west-1"))
        assert location["LocationConstraint"] == "eu-west-1"


def test_the_registry_is_immutable_scanned_and_encrypted_with_our_key(session: boto3.Session) -> None:
    target = target_of(session)
    bootstrap(target)
    [repository] = session.client("ecr").describe_repositories(repositoryNames=[REPOSITORY])["repositories"]
    assert repository.get("imageTagMutability") == "IMMUTABLE"
    assert repository.get("imageScanningConfiguration") == {"scanOnPush": True}
    assert repository.get("encryptionConfiguration") == {"encryptionType": "KMS", "kmsKey": target.arns.secrets_key}


def test_the_key_rotates_and_answers_to_its_alias(session: boto3.Session) -> None:
    target = target_of(session)
    bootstrap(target)
    kms = session.client("kms")
    assert kms.describe_key(KeyId=ALIAS)["KeyMetadata"].get("Arn") == target.arns.secrets_key
    assert kms.get_key_rotation_status(KeyId=str(target.arns.secrets_key))["KeyRotationEnabled"]


class Killed(BaseException):
    """The process is gone: nothing in it can catch this."""


@pytest.mark.parametrize("written", range(1, WRITES + 1))  # a step is one write: after each of them
def test_a_run_killed_before_it_hears_that_a_call_succeeded_is_completed_by_the_next(
    session: boto3.Session, written: int
) -> None:
    dying = new_session()
    writes: list[str] = []

    def count(model: Any, **_: object) -> None:
        if not model.name.startswith(("Get", "List", "Describe", "Head")):
            writes.append(model.name)
            if len(writes) == written:
                raise Killed

    dying.events.register("after-call", count)
    with pytest.raises(Killed):
        bootstrap(target_of(dying))
    bootstrap(target_of(session))
    assert pending(plan(target_of(session))) == []
    assert len(session.client("kms").list_keys()["Keys"]) == 1, "a stopped run must not leave a second key"
    assert len(target_of(session).ce.get_anomaly_monitors()["AnomalyMonitors"]) == 1
    assert len(target_of(session).ce.get_anomaly_subscriptions()["AnomalySubscriptions"]) == 1


Drift = Callable[[boto3.Session], object]


def another_audience(session: boto3.Session) -> None:
    iam = session.client("iam")
    [provider] = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider.get("Arn", ""))
    iam.create_open_id_connect_provider(Url=f"https://{GITHUB}", ClientIDList=["https://github.com/theirs"])


DRIFTS: dict[str, tuple[str, Drift]] = {
    "versioning switched off": (
        "state bucket: versioning",
        lambda session: session.client("s3").put_bucket_versioning(
            Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}
        ),
    ),
    "public access block removed": (
        "state bucket: public access",
        lambda session: session.client("s3").delete_public_access_block(Bucket=BUCKET),
    ),
    "public access half open": (
        "state bucket: public access",
        lambda session: session.client("s3").put_public_access_block(
            Bucket=BUCKET, PublicAccessBlockConfiguration={"BlockPublicAcls": True}
        ),
    ),
    "encryption with S3's own key": (
        "state bucket: encryption",
        lambda session: session.client("s3").put_bucket_encryption(
            Bucket=BUCKET,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
        ),
    ),
    "policy removed": (
        "state bucket: TLS only",
        lambda session: session.client("s3").delete_bucket_policy(Bucket=BUCKET),
    ),
    "lifecycle removed": (
        "state bucket: lifecycle",
        lambda session: session.client("s3").delete_bucket_lifecycle(Bucket=BUCKET),
    ),
    "ownership removed": (
        "state bucket: object ownership",
        lambda session: session.client("s3").delete_bucket_ownership_controls(Bucket=BUCKET),
    ),
    "rotation switched off": (
        "secrets key: rotation",
        lambda session: session.client("kms").disable_key_rotation(
            KeyId=str(session.client("kms").describe_key(KeyId=ALIAS)["KeyMetadata"].get("Arn"))
        ),
    ),
    "tags made mutable": (
        "registry: tags",
        lambda session: session.client("ecr").put_image_tag_mutability(
            repositoryName=REPOSITORY, imageTagMutability="MUTABLE"
        ),
    ),
    "scanning switched off": (
        "registry: scanning",
        lambda session: session.client("ecr").put_image_scanning_configuration(
            repositoryName=REPOSITORY, imageScanningConfiguration={"scanOnPush": False}
        ),
    ),
    "another audience": ("GitHub identity provider", another_audience),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_what_drifted_is_shown_as_a_change_and_mended_alone(session: boto3.Session, drift: str) -> None:
    step, happen = DRIFTS[drift]
    bootstrap(target_of(session))
    happen(session)
    assert [row.step.name for row in pending(plan(target_of(session)))] == [step]
    assert found(target_of(session))[step][0] == "change"
    assert bootstrap(target_of(session)) == [step]
    assert bootstrap(target_of(session)) == []


def test_what_others_wrote_into_the_bucket_policy_and_lifecycle_stays(session: boto3.Session) -> None:
    bootstrap(target_of(session))
    s3 = session.client("s3")
    theirs = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket", "Resource": f"arn:aws:s3:::{BUCKET}"}  # fmt: skip
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [theirs]}))
    rule: Any = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [rule]})
    assert bootstrap(target_of(session)) == ["state bucket: TLS only", "state bucket: lifecycle"]
    assert theirs in json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert rule in s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]


def test_another_account_may_pull_and_a_third_does_not_take_its_place(session: boto3.Session) -> None:
    bootstrap(target_of(session))
    assert bootstrap(target_of(session, OTHER_ACCOUNT)) == ["registry: readers"]
    assert bootstrap(target_of(session, "111122223333")) == ["registry: readers"]
    assert bootstrap(target_of(session, OTHER_ACCOUNT)) == []
    statements = json.loads(session.client("ecr").get_repository_policy(repositoryName=REPOSITORY)["policyText"])["Statement"]  # fmt: skip
    assert [statement["Principal"]["AWS"] for statement in statements] == [
        f"arn:aws:iam::{OTHER_ACCOUNT}:root",
        "arn:aws:iam::111122223333:root",
    ]
    assert not [
        action for statement in statements for action in statement["Action"] if "Put" in action or "*" in action
    ]


def test_people_are_added_to_those_who_hear_of_unusual_costs_and_nobody_is_taken_out(session: boto3.Session) -> None:
    step = "cost anomaly monitor: subscription"
    bootstrap(target_of(session))
    other = target_of(session, emails=("finance@example.com",))
    assert found(other)[step] == ("change", "does not tell finance@example.com yet")
    assert bootstrap(other) == [step]
    assert bootstrap(target_of(session)) == bootstrap(other) == []
    [subscription] = other.ce.get_anomaly_subscriptions()["AnomalySubscriptions"]
    assert [row.get("Address") for row in subscription["Subscribers"]] == ["finance@example.com", ONCALL]
    assert {row.get("Type") for row in subscription["Subscribers"]} == {"EMAIL"}
    assert subscription["Frequency"] == "DAILY"  # AWS takes no other but WEEKLY for e-mail


def test_without_an_address_nobody_is_subscribed_and_the_plan_says_so(session: boto3.Session) -> None:
    silent = target_of(session, emails=())
    assert "cost anomaly monitor: subscription" not in bootstrap(silent)
    assert "nobody is told" in found(silent)["cost anomaly monitor: subscription"][1]


def test_a_repository_with_the_wrong_encryption_is_a_persons_decision(session: boto3.Session) -> None:
    session.client("ecr").create_repository(repositoryName=REPOSITORY)
    [row] = blocked(plan(target_of(session)))
    assert row.step.name == "registry"
    assert "copy the images elsewhere" in row.finding.reason


def test_a_key_that_waits_for_deletion_is_a_persons_decision(session: boto3.Session) -> None:
    target = target_of(session)
    bootstrap(target)
    session.client("kms").schedule_key_deletion(KeyId=str(target.arns.secrets_key).split("/")[-1])
    stuck = blocked(plan(target_of(session)))
    assert [row.step.name for row in stuck] == ["secrets key"]
    assert "PendingDeletion" in stuck[0].finding.reason
    assert "cancel-key-deletion" in stuck[0].finding.reason


def test_a_role_that_aws_makes_between_looking_and_making_is_fine(session: boto3.Session) -> None:
    """Answered by an event: moto answers a taken name with another code than AWS does."""
    racing = new_session()

    def taken(**_: object) -> None:
        message = (
            "Service role name AWSServiceRoleForEC2Spot has been taken in this account, please try a different suffix."
        )
        raise ClientError({"Error": {"Code": "InvalidInput", "Message": message}}, "CreateServiceLinkedRole")

    racing.events.register("before-call.iam.CreateServiceLinkedRole", taken)
    assert len(bootstrap(target_of(racing))) == WRITES


@pytest.mark.parametrize(
    ("code", "remedy"), [("AccessDenied", "permission"), ("Throttling", "Wait"), ("SomethingNew", "run it again")]
)
@pytest.mark.parametrize(
    ("call", "step"), [("s3.PutBucketVersioning", "state bucket: versioning"), ("ecr.DescribeRepositories", "registry")]
)
def test_an_answer_of_aws_is_told_with_its_step_its_call_and_the_remedy(
    session: boto3.Session, call: str, step: str, code: str, remedy: str
) -> None:
    denied = new_session()

    def answer(**_: object) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "not today"}}, call.split(".")[1])

    denied.events.register(f"before-call.{call}", answer)
    with pytest.raises(Refused) as refused:
        bootstrap(target_of(denied))
    assert refused.value.code is Exit.FAILED
    for part in (f"{step}: ", call.split(".")[1], code, "not today", remedy):
        assert part in str(refused.value)


def test_step_names_are_unique() -> None:
    assert len({step.name for step in STEPS}) == len(STEPS)


names = st.text("abcdef", min_size=1, max_size=4)
statements = st.fixed_dictionaries({"Sid": names, "Action": st.lists(names, min_size=1, max_size=3)})


@given(st.lists(statements, max_size=4), statements)
def test_a_statement_once_added_is_held_and_takes_the_place_of_its_sid_only(
    before: list[dict[str, Any]], statement: dict[str, Any]
) -> None:
    policy = with_statement(json.dumps({"Statement": before}), statement)
    assert holds(policy, statement)
    assert with_statement(policy, statement) == policy
    others = [held for held in before if held["Sid"] != statement["Sid"]]
    assert json.loads(policy)["Statement"] == [*others, statement]
    # AWS hands a list of one back as its only item.
    as_aws = json.loads(policy)
    for held in as_aws["Statement"]:
        if len(held["Action"]) == 1:
            held["Action"] = held["Action"][0]
    assert holds(json.dumps(as_aws), statement)
