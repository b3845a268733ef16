"""The availability zones of the regions we know, by letter.

Source: EC2 DescribeAvailabilityZones as moto 5.2.5 ships it; docs.aws.amazon.com/global-infrastructure/latest/regions.
An account may be shown fewer: `aws ec2 describe-availability-zones` has the last word.
"""

from __future__ import annotations

ZONES: dict[str, str] = {
    "us-east-1": "abcdf",  # EKS takes no control plane subnet in use1-az3, which is e in most accounts
    "us-east-2": "abc",
    "us-west-1": "ab",
    "us-west-2": "abcd",
    "ca-central-1": "abd",
    "eu-west-1": "abc",
    "eu-west-2": "abc",
    "eu-west-3": "abc",
    "eu-central-1": "abc",
    "eu-north-1": "abc",
    "ap-south-1": "abc",
    "ap-northeast-1": "acd",
    "ap-southeast-1": "abc",
    "ap-southeast-2": "abc",
    "sa-east-1": "abc",
}
