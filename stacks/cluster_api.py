"""A reader of an environment's Kubernetes API, signed in by the credentials in use, as `aws eks get-token` does it."""

from __future__ import annotations

import base64
import ssl
from typing import Any

import boto3
import httpx
from botocore.exceptions import NoCredentialsError
from botocore.signers import RequestSigner

from stacks.account import Account
from stacks.terminal import Refused

_SECONDS = 60  # how long the signature holds; the API server takes the token for 15 minutes (aws-iam-authenticator)


def open_cluster(account: Account, name: str) -> httpx.Client | None:
    """A client of the cluster's API; None where there is no such cluster."""
    eks = account.session.client("eks")
    try:
        cluster = eks.describe_cluster(name=name)["cluster"]
    except eks.exceptions.ResourceNotFoundException:
        return None
    authority = base64.b64decode(cluster.get("certificateAuthority", {}).get("data", "")).decode()
    return httpx.Client(
        base_url=cluster.get("endpoint", ""),
        headers={"authorization": f"Bearer {token(account.session, account.region, name)}"},
        verify=ssl.create_default_context(cadata=authority),
        timeout=10,
    )


def ask(cluster: httpx.Client, path: str, **parameters: str) -> Any:
    """What the API answers. Raises Refused when it cannot be asked."""
    try:
        answer = cluster.get(path, params=parameters)
        answer.raise_for_status()
    except httpx.HTTPStatusError as failure:
        raise Refused(
            f"the cluster's API answered {failure.response.status_code}. Ask it with a role of access."
        ) from None
    except httpx.TransportError as failure:
        reason = f"the cluster's API does not answer here ({type(failure).__name__})"
        raise Refused(f"{reason}. Ask from the VPC or from cluster.publicAccessCidrs.") from None
    return answer.json()


def token(session: boto3.Session, region: str, cluster: str) -> str:
    """A signed request for the caller's identity, which the cluster sends to STS (kubernetes-sigs/aws-iam-authenticator)."""
    client = session.client("sts", region_name=region)
    credentials = session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    signer = RequestSigner(client.meta.service_model.service_id, region, "sts", "v4", credentials, session.events)
    request = {
        "method": "GET",
        "url": f"https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-k8s-aws-id": cluster},
        "context": {},
    }
    address = signer.generate_presigned_url(request, operation_name="", region_name=region, expires_in=_SECONDS)
    return "k8s-aws-v1." + base64.urlsafe_b64encode(address.encode()).decode().rstrip("=")
