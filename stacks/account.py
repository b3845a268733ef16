"""The AWS account behind a stack: opened once, checked to be the configured one, its errors said for people."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
)

from infra.settings import Settings
from stacks.terminal import Exit, Refused

# Standard mode retries throttling and dropped connections with jitter (botocore retries guide).
CONFIG = Config(retries={"mode": "standard", "max_attempts": 5})

_LOG_IN = "Log in (aws sso login, aws configure) or name other credentials with --profile."
_DENIED = "Give these credentials that permission, or use an administrator's with --profile; then run it again."
_WAIT = "Wait a minute and run it again: what is done is skipped."
_REMEDIES = {
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "UnauthorizedOperation": _DENIED,
    "403": "The name belongs to another account, or these credentials may not see it. " + _DENIED,
    "Throttling": _WAIT,
    "ThrottlingException": _WAIT,
    "TooManyRequestsException": _WAIT,
    "SlowDown": _WAIT,
    "RequestLimitExceeded": _WAIT,
    "LimitExceeded": "Raise the quota or remove what is not needed, then run it again.",
    "LimitExceededException": "Raise the quota or remove what is not needed, then run it again.",
    "ExpiredToken": _LOG_IN,
    "ExpiredTokenException": _LOG_IN,
    "InvalidClientTokenId": _LOG_IN,
    "UnrecognizedClientException": _LOG_IN,
}


@dataclass(frozen=True)
class Account:
    """An account in one region, and credentials that belong to it."""

    id: str
    region: str
    partition: str  # aws, aws-cn, aws-us-gov: the first part of every ARN
    session: boto3.Session


def open_account(settings: Settings, stack: str, profile: str | None = None) -> Account:
    """The account of the credentials in use. Refuses any other than the one that the stack's settings name."""
    with aws_errors("credentials"):
        session = boto3.Session(profile_name=profile, region_name=settings.region)
        caller = session.client("sts", config=CONFIG).get_caller_identity()
    if caller["Account"] != settings.account.id:
        raise Refused(
            f"account.id={settings.account.id} (Pulumi.{stack}.yaml): must be the account of the credentials in use, "
            f"which is {caller['Account']} ({caller['Arn']}). "
            "Choose that account's credentials with --profile, or correct account.id."
        )
    return Account(settings.account.id, settings.region, caller["Arn"].split(":")[1], session)


@contextmanager
def aws_errors(doing: str) -> Generator[None]:
    """Turn AWS's refusal of a call into ours: what was being done, which call, its answer, the remedy."""
    try:
        yield
    except ClientError as error:
        answer = error.response.get("Error", {})
        code = answer.get("Code", "no code")
        raise Refused(
            f"{doing}: the AWS call {error.operation_name} answered {code}: {answer.get('Message', 'no message')} "
            + _REMEDIES.get(code, "Correct what it names and run it again: what is done is skipped."),
            Exit.FAILED,
        ) from error
    except ProfileNotFound as error:
        raise Refused(f"{doing}: {error}. Known profiles: aws configure list-profiles.") from error
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, SSOError) as error:
        raise Refused(f"{doing}: {error}. {_LOG_IN}", Exit.MISSING) from error
    except BotoCoreError as error:
        raise Refused(f"{doing}: {error}. Check the network and the region, then run it again.", Exit.FAILED) from error


def absent(error: ClientError, *codes: str) -> None:
    """Swallow an answer that only says "there is none"; raise any other."""
    if error.response.get("Error", {}).get("Code") not in codes:
        raise error
