"""Third-party images through the account's own registry: nodes pull from it, and it from the public registry once."""

from __future__ import annotations

import json
from typing import Any

import pulumi_aws as aws
from pulumi import ResourceOptions

from infra.component import Component
from infra.settings import Settings
from infra.settings.platform import PUBLIC_REGISTRIES

# A chart's upgrade leaves its last versions to go back to; an index and its image of one architecture are two.
KEPT_IMAGES = 20


class PullThrough(Component):
    """A cache for each of ``registry.pullThrough``. What nodes pulled stays after a destroy (docs/operations/teardown.md).

    Produces: PullThroughCacheRule and RepositoryCreationTemplate for each.
    """

    def __init__(self, name: str, settings: Settings, opts: ResourceOptions) -> None:
        super().__init__(name, opts)
        for upstream in settings.registry.pull_through:
            prefix = f"{settings.name}/{upstream}"
            template = aws.ecr.RepositoryCreationTemplate(
                f"{name}-{upstream}",
                prefix=prefix,
                description=f"Images of {upstream}, pulled through",
                applied_fors=["PULL_THROUGH_CACHE"],
                image_tag_mutability="IMMUTABLE",  # who moves a tag upstream does not reach our nodes
                # Public images are no secret; a key of our own, or tags, would need a role that ECR may take.
                encryption_configurations=[
                    aws.ecr.RepositoryCreationTemplateEncryptionConfigurationArgs(encryption_type="AES256")
                ],
                lifecycle_policy=json.dumps(_LIFECYCLE),
                opts=self.child(),
            )
            aws.ecr.PullThroughCacheRule(
                f"{name}-{upstream}",
                ecr_repository_prefix=prefix,
                upstream_registry_url=PUBLIC_REGISTRIES[upstream],
                credential_arn=settings.registry.credentials.get(upstream),
                opts=self.child(depends_on=[template]),
            )
        self.register_outputs({})


_LIFECYCLE = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": KEPT_IMAGES},
            "action": {"type": "expire"},
        }
    ]
}


def pulled_through(settings: Settings, image: str) -> str:
    """Where nodes find a public image, or all of a public registry; unchanged where the settings have no cache for it."""
    if image.partition("/")[0] not in settings.registry.pull_through:
        return image
    return f"{settings.account.id}.dkr.ecr.{settings.region}.amazonaws.com/{settings.name}/{image}"


def pull_statements(settings: Settings) -> list[dict[str, Any]]:
    """What a node needs beside AmazonEC2ContainerRegistryPullOnly for the first pull (ECR user guide, pull-through-cache-iam)."""
    return [
        {
            "Effect": "Allow",
            "Action": ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"],
            "Resource": f"arn:aws:ecr:{settings.region}:{settings.account.id}:repository/{settings.name}/*",
        }
    ]
