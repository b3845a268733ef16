"""How AWS spells regions in usage types."""

from __future__ import annotations

import re
from collections.abc import Mapping

HOME = "us-east-1"  # whose meters the price table has in full
# docs.aws.amazon.com/AmazonS3/latest/userguide/aws-usage-report-understand.html. The first one is shown; the Price List
# of a service may have another: us-east-1's older ones none, KMS the region itself (both seen in bills).
CODES: Mapping[str, str] = {
    "ap-east-1": "APE1",
    "ap-northeast-1": "APN1",
    "ap-northeast-2": "APN2",
    "ap-south-1": "APS3",
    "ap-southeast-1": "APS1",
    "ap-southeast-2": "APS2",
    "ca-central-1": "CAN1",
    "eu-central-1": "EUC1",
    "eu-north-1": "EUN1",
    "eu-west-1": "EU",
    "eu-west-2": "EUW2",
    "eu-west-3": "EUW3",
    "me-south-1": "MES1",
    "sa-east-1": "SAE1",
    "us-east-1": "USE1",
    "us-east-2": "USE2",
    "us-west-1": "USW1",
    "us-west-2": "USW2",
}
_REGION = re.compile(rf"^(?:{'|'.join([*CODES.values(), *CODES])})-")


def without_region(usage_type: str) -> str:
    """``NatGateway-Hours`` of ``EUC1-NatGateway-Hours``; traffic between regions keeps where it goes."""
    return _REGION.sub("", usage_type, count=1)


def usage_types(region: str, usage_type: str) -> tuple[str, ...]:
    """How a usage type of another region may be spelt in this one."""
    bare = without_region(usage_type)
    return tuple(f"{prefix}-{bare}" for prefix in (CODES[region], region))
