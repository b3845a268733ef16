"""The vocabulary of the bootstrap: where it works, what a step is, and what looking can find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from stacks.account import CONFIG, Account

if TYPE_CHECKING:  # the stubs are for the type checker only: requirements/infra.txt does not have them
    from mypy_boto3_ce import CostExplorerClient
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client


@dataclass
class Arns:
    """The ARNs that stacks take as settings; filled in while looking and making, None until the thing exists."""

    github_oidc_provider: str | None = None
    repository: str | None = None
    secrets_key: str | None = None
    state_bucket: str | None = None

    def settings(self) -> dict[str, str | None]:
        """As the object langgraph-eks:bootstrap of Pulumi.<env>.yaml."""
        return {
            "githubOidcProviderArn": self.github_oidc_provider,
            "repositoryArn": self.repository,
            "secretsKeyArn": self.secrets_key,
            "stateBucketArn": self.state_bucket,
        }


@dataclass(frozen=True)
class Target:
    """One account in one region, the clients that reach it, who may also pull images, and who hears of its costs."""

    account: Account
    reader: str | None
    s3: S3Client
    kms: KMSClient
    iam: IAMClient
    ecr: ECRClient
    ce: CostExplorerClient
    alert_emails: tuple[str, ...] = ()
    arns: Arns = field(default_factory=Arns)

    @classmethod
    def of(cls, account: Account, reader: str | None = None, alert_emails: tuple[str, ...] = ()) -> Target:
        session = account.session
        return cls(
            account,
            reader,
            s3=session.client("s3", config=CONFIG),
            kms=session.client("kms", config=CONFIG),
            iam=session.client("iam", config=CONFIG),
            ecr=session.client("ecr", config=CONFIG),
            # Cost Explorer has one endpoint (AWS general reference, Billing and Cost Management endpoints).
            ce=session.client("ce", region_name="us-east-1", config=CONFIG),
            alert_emails=alert_emails,
        )


class Action(StrEnum):
    EXISTS = "exists"
    CREATE = "create"
    CHANGE = "change"
    BLOCKED = "blocked"  # differs in a way that only a person may mend


@dataclass(frozen=True)
class Finding:
    """What looking found, and why that calls for the action."""

    action: Action
    reason: str

    @property
    def pending(self) -> bool:
        return self.action in (Action.CREATE, Action.CHANGE)


@dataclass(frozen=True)
class Step:
    """One thing to have: looking changes nothing, making may be repeated."""

    name: str
    look: Callable[[Target], Finding]
    make: Callable[[Target], None]


def exists(reason: str) -> Finding:
    return Finding(Action.EXISTS, reason)


def create(reason: str) -> Finding:
    return Finding(Action.CREATE, reason)


def change(reason: str) -> Finding:
    return Finding(Action.CHANGE, reason)


def blocked(reason: str) -> Finding:
    return Finding(Action.BLOCKED, reason)
