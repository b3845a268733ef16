"""GitHub's identity provider, and the service-linked roles that other resources name before AWS would make them."""

from __future__ import annotations

from botocore.exceptions import ClientError

from stacks.account import absent
from stacks.bootstrap.step import Finding, Step, Target, change, create, exists

GITHUB = "token.actions.githubusercontent.com"
_AUDIENCE = "sts.amazonaws.com"  # docs.github.com: configuring OpenID Connect in AWS


def _provider_arn(target: Target) -> str:
    return f"arn:{target.account.partition}:iam::{target.account.id}:oidc-provider/{GITHUB}"


def _look_provider(target: Target) -> Finding:
    try:
        provider = target.iam.get_open_id_connect_provider(OpenIDConnectProviderArn=_provider_arn(target))
    except ClientError as error:
        absent(error, "NoSuchEntity")
        return create("lets named GitHub workflows take roles without stored keys")
    target.arns.github_oidc_provider = _provider_arn(target)
    if _AUDIENCE not in provider["ClientIDList"]:
        return change(f"lacks the audience {_AUDIENCE} that aws-actions/configure-aws-credentials asks for")
    return exists(_provider_arn(target))


def _make_provider(target: Target) -> None:
    if target.arns.github_oidc_provider:
        target.iam.add_client_id_to_open_id_connect_provider(
            OpenIDConnectProviderArn=_provider_arn(target), ClientID=_AUDIENCE
        )
        return
    # No thumbprint: IAM fetches it (API reference, CreateOpenIDConnectProvider).
    made = target.iam.create_open_id_connect_provider(Url=f"https://{GITHUB}", ClientIDList=[_AUDIENCE])
    target.arns.github_oidc_provider = made["OpenIDConnectProviderArn"]


def _service_role(role: str, service: str, why: str) -> Step:
    def look(target: Target) -> Finding:
        try:
            target.iam.get_role(RoleName=role)
        except ClientError as error:
            absent(error, "NoSuchEntity")
            return create(why)
        return exists(why)

    def make(target: Target) -> None:
        try:
            target.iam.create_service_linked_role(AWSServiceName=service)
        except ClientError as error:
            # AWS makes these roles by itself on a first use, which may come between looking and making.
            # It then answers InvalidInput "has been taken in this account" (Batch user guide, Spot fleet roles).
            if "has been taken" not in error.response.get("Error", {}).get("Message", ""):
                raise

    return Step(f"role {role}", look, make)


STEPS = (
    Step("GitHub identity provider", _look_provider, _make_provider),
    _service_role(
        "AWSServiceRoleForEC2Spot",
        "spot.amazonaws.com",
        "Karpenter may launch Spot nodes",  # karpenter.sh/docs/troubleshooting, Missing Service Linked Role
    ),
    _service_role(
        "AWSServiceRoleForAutoScaling",
        "autoscaling.amazonaws.com",
        "the policy of the node disks' key names it, and KMS refuses a principal that does not exist",
    ),
)
