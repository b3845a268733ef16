"""The Spot market as the account's region answers now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from stacks.account import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef


def asked(ec2: EC2Client, types: Sequence[str], begins: datetime, ends: datetime) -> dict[str, Any]:
    """AWS's two answers as one document, as ``market.read`` takes it."""
    only: list[FilterTypeDef] = [{"Name": "instance-type", "Values": list(types)}]
    with aws_errors("reading the Spot price history"):
        history = [
            {**row, "Timestamp": row["Timestamp"].isoformat()}
            for page in ec2.get_paginator("describe_spot_price_history").paginate(
                Filters=only, ProductDescriptions=["Linux/UNIX"], StartTime=begins, EndTime=ends
            )
            for row in page["SpotPriceHistory"]
            if "Timestamp" in row
        ]
        offerings = [
            row
            for page in ec2.get_paginator("describe_instance_type_offerings").paginate(
                LocationType="availability-zone", Filters=only
            )
            for row in page["InstanceTypeOfferings"]
        ]
    return {"SpotPriceHistory": history, "InstanceTypeOfferings": offerings}
