"""The ECR repository of the service's images, one for all environments: prod takes the digest that dev ran."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from stacks.account import absent
from stacks.bootstrap.policy import Statement, holds, with_statement
from stacks.bootstrap.secrets_key import key_of
from stacks.bootstrap.step import Finding, Step, Target, blocked, change, create, exists

if TYPE_CHECKING:
    from mypy_boto3_ecr.type_defs import RepositoryTypeDef

REPOSITORY = "langgraph-agents"
_LIFECYCLE: dict[str, Any] = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "Layers of a build that was replaced or never tagged",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 14,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            # Tagged ones only: with tagStatus any, untagged platform images of an index would use up the 50.
            "description": "The last 50 releases stay, far more than lie between what dev and prod run",
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["*"],
                "countType": "imageCountMoreThan",
                "countNumber": 50,
            },
            "action": {"type": "expire"},
        },
    ]
}


def _repository(target: Target) -> RepositoryTypeDef | None:
    try:
        return target.ecr.describe_repositories(registryId=target.account.id, repositoryNames=[REPOSITORY])[
            "repositories"
        ][0]
    except ClientError as error:
        absent(error, "RepositoryNotFoundException")
        return None


def _look_repository(target: Target) -> Finding:
    found = _repository(target)
    if found is None:
        return create("holds the service's images")
    encryption = found.get("encryptionConfiguration", {}).get("encryptionType", "AES256")
    if encryption == "AES256":
        return blocked(
            f"{REPOSITORY} is encrypted with AES256, not KMS, and ECR fixes that at creation: "
            "copy the images elsewhere, delete the repository and run this again"
        )
    target.arns.repository = found.get("repositoryArn")
    return exists(str(found.get("repositoryArn")))


def _make_repository(target: Target) -> None:
    made = target.ecr.create_repository(
        repositoryName=REPOSITORY,
        imageTagMutability="IMMUTABLE",
        imageScanningConfiguration={"scanOnPush": True},
        # Grants that ECR makes for itself: who pulls needs no right to the key (ECR user guide, encryption at rest).
        encryptionConfiguration={"encryptionType": "KMS", "kmsKey": key_of(target)},
    )
    target.arns.repository = made["repository"].get("repositoryArn")


def _look_tags(target: Target) -> Finding:
    found = _repository(target)
    if found is None:
        return create("immutable: a tag names one image for ever")
    mutability = found.get("imageTagMutability")
    return exists("immutable") if mutability == "IMMUTABLE" else change(f"{mutability}: a tag could be moved")


def _make_tags(target: Target) -> None:
    target.ecr.put_image_tag_mutability(repositoryName=REPOSITORY, imageTagMutability="IMMUTABLE")


def _look_scan(target: Target) -> Finding:
    found = _repository(target)
    if found is None:
        return create("every image is scanned when pushed")
    on = found.get("imageScanningConfiguration", {}).get("scanOnPush")
    return exists("on push") if on else change("off: known vulnerabilities would go unseen")


def _make_scan(target: Target) -> None:
    target.ecr.put_image_scanning_configuration(
        repositoryName=REPOSITORY, imageScanningConfiguration={"scanOnPush": True}
    )


def _look_lifecycle(target: Target) -> Finding:
    why = "untagged images go after 14 days, the last 50 tagged stay"
    try:
        found = target.ecr.get_lifecycle_policy(repositoryName=REPOSITORY)["lifecyclePolicyText"]
    except ClientError as error:
        absent(error, "RepositoryNotFoundException", "LifecyclePolicyNotFoundException")
        return create(why)
    return exists(why) if json.loads(found) == _LIFECYCLE else change(f"other rules: {why}")


def _make_lifecycle(target: Target) -> None:
    target.ecr.put_lifecycle_policy(repositoryName=REPOSITORY, lifecyclePolicyText=json.dumps(_LIFECYCLE))


def _reader_statement(target: Target) -> Statement:
    return {
        "Sid": f"Pull{target.reader}",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{target.account.partition}:iam::{target.reader}:root"},
        "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    }


def _policy(target: Target) -> str | None:
    try:
        return target.ecr.get_repository_policy(repositoryName=REPOSITORY)["policyText"]
    except ClientError as error:
        absent(error, "RepositoryNotFoundException", "RepositoryPolicyNotFoundException")
        return None


def _look_readers(target: Target) -> Finding:
    if target.reader is None:
        return exists("this account only; --reader-account lets another pull")
    policy = _policy(target)
    if holds(policy, _reader_statement(target)):
        return exists(f"account {target.reader} may pull")
    why = f"account {target.reader} may not pull yet"
    return change(why) if policy else create(why)


def _make_readers(target: Target) -> None:
    policy = with_statement(_policy(target), _reader_statement(target))
    target.ecr.set_repository_policy(repositoryName=REPOSITORY, policyText=policy)


STEPS = (
    Step("registry", _look_repository, _make_repository),
    Step("registry: tags", _look_tags, _make_tags),
    Step("registry: scanning", _look_scan, _make_scan),
    Step("registry: lifecycle", _look_lifecycle, _make_lifecycle),
    Step("registry: readers", _look_readers, _make_readers),
)
