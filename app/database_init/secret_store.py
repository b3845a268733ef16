"""Values in AWS Secrets Manager, by the pod's own role."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError

from app.failures import Exit, Refused


class SecretStore:
    """Reads and writes secrets by their ARN. No value is in a message of its refusals."""

    def __init__(self) -> None:
        self._session = botocore.session.get_session()

    def read(self, arn: str) -> str | None:
        """The value, or None for a secret that has none yet."""
        try:
            answer: dict[str, Any] = self._client(arn).get_secret_value(SecretId=arn)
        except ClientError as failure:
            if failure.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                return None
            raise _refused(arn, "read", failure) from None
        except BotoCoreError as failure:
            raise _refused(arn, "read", failure) from None
        return str(answer["SecretString"])

    def write(self, arn: str, value: str) -> None:
        try:
            self._client(arn).put_secret_value(SecretId=arn, SecretString=value)
        except (ClientError, BotoCoreError) as failure:
            raise _refused(arn, "written", failure) from None

    def _client(self, arn: str) -> Any:
        return self._session.create_client("secretsmanager", region_name=arn.split(":")[3])


def _refused(arn: str, verb: str, failure: Exception) -> Refused:
    return Refused(f"{arn}: cannot be {verb} ({failure}). Check the role of the pod.", Exit.FAILED)
