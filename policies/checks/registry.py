"""ECR: what an image name means tomorrow, and what is known of what is in it."""

from __future__ import annotations

from policies.check import Subject, check

REPOSITORY = "aws:ecr/repository:Repository"
TEMPLATE = "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate"  # what is pulled through is put into such


@check(
    "registry-immutable",
    "A tag never changes its image",
    severity="high",
    types=(REPOSITORY, TEMPLATE),
    remedy="Set imageTagMutability to IMMUTABLE.",
    controls={"AWS FSBP": ("ECR.2",), "CIS EKS": ("5.1.1",), "SOC 2": ("CC8.1",)},
    references=("CKV_AWS_51",),
)
def immutable(repository: Subject) -> str | None:
    """What was scanned and tested under a name must be what runs under it."""
    given = repository.properties.text("imageTagMutability")
    return None if (given or "").startswith("IMMUTABLE") else f"imageTagMutability is {given or 'not set'}"


@check(
    "registry-scans",
    "An image is scanned when it is pushed",
    severity="medium",
    types=(REPOSITORY,),
    remedy="Set imageScanningConfiguration.scanOnPush, or enhanced scanning for the registry and waive this.",
    controls={"AWS FSBP": ("ECR.1",), "CIS EKS": ("5.1.1",), "SOC 2": ("CC7.1",)},
    references=("CKV_AWS_163",),
)
def scans(repository: Subject) -> str | None:
    """A base image with a known hole is found before it runs, or by somebody else after."""
    given = repository.properties.flag("imageScanningConfiguration.scanOnPush")
    return None if given else "imageScanningConfiguration.scanOnPush is not true"


@check(
    "registry-encrypted",
    "Images are encrypted with a key of ours",
    severity="low",
    types=(REPOSITORY,),
    remedy="Set encryptionConfigurations with KMS and a key. This cannot be changed later.",
    controls={"SOC 2": ("CC6.1",)},
    references=("CKV_AWS_136",),
)
def encrypted(repository: Subject) -> str | None:
    """Images hold the source of every graph."""
    for configuration in repository.properties.parts("encryptionConfigurations"):
        if configuration.text("encryptionType") == "KMS" and configuration.has("kmsKey"):
            return None
    return "encryptionConfigurations names no KMS key"


@check(
    "registry-lifecycle",
    "Old images of a cache go by themselves",
    severity="low",
    types=(TEMPLATE,),
    remedy="Set lifecyclePolicy with a rule that expires images.",
    controls={"AWS FSBP": ("ECR.3",)},
)
def lifecycle(template: Subject) -> str | None:
    """Every version of every chart would be paid for as long as the account lives."""
    rules = list(template.properties.document("lifecyclePolicy").parts("rules"))
    return None if rules else "lifecyclePolicy has no rule"
