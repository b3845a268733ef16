"""Shapes of the instance types we use, derived from AWS's naming, and what EKS leaves of a node for pods."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

Architecture = Literal["amd64", "arm64"]

# docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html: family, generation, attributes, size.
_NAME = re.compile(
    r"^(?P<family>[a-z]+?)(?P<generation>\d+)(?P<attributes>[a-z-]*)\.(?P<size>medium|large|(?P<times>\d*)xlarge)$"
)
_GIB_PER_VCPU = {"c": 2, "m": 4, "r": 8}
# Burstable types do not follow the ratio (docs.aws.amazon.com/ec2/latest/instancetypes/gp.html).
_BURSTABLE = {"medium": (2, 4), "large": (2, 8), "xlarge": (4, 16), "2xlarge": (8, 32)}

# Memory of the database classes we offer, GiB (docs.aws.amazon.com/AmazonRDS/latest/UserGuide, instance class specifications).
DATABASE_MEMORY_GIB = {
    "db.t4g.medium": 4,
    "db.t4g.large": 8,
    "db.m7g.large": 8,
    "db.m7g.xlarge": 16,
    "db.r7g.large": 16,
    "db.r7g.xlarge": 32,
    "db.r7g.2xlarge": 64,
    "db.r7g.4xlarge": 128,
}


@dataclass(frozen=True)
class Shape:
    """vCPUs, memory in GiB and processor architecture of an EC2 instance type."""

    family: str
    generation: int
    vcpu: int
    memory_gib: float
    architecture: Architecture


def shape(instance_type: str) -> Shape | None:
    """The shape of a t, c, m or r type, or None for a name outside those families."""
    match = _NAME.match(instance_type)
    if match is None or match["family"] not in (*_GIB_PER_VCPU, "t"):
        return None
    # The letter g after the generation is Graviton; before it, it would be the family (g5 has a GPU).
    architecture: Architecture = "arm64" if "g" in match["attributes"] else "amd64"
    family, generation, size = match["family"], int(match["generation"]), match["size"]
    if family == "t":
        if size not in _BURSTABLE:
            return None
        vcpu, memory = _BURSTABLE[size]
    else:
        vcpu = {"medium": 1, "large": 2}.get(size) or 4 * int(match["times"] or 1)
        memory = vcpu * _GIB_PER_VCPU[family]
    return Shape(family + match["generation"] + match["attributes"], generation, vcpu, memory, architecture)


@dataclass(frozen=True)
class Allocatable:
    """What is left of a node for pods: CPU in cores, memory in MiB, number of pods."""

    cpu: float
    memory_mib: float
    pods: int


def allocatable(kind: Shape, max_pods: int = 110) -> Allocatable:
    """What EKS's AL2023 image leaves for pods.

    Reserved CPU 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of the rest; reserved
    memory 255 MiB + 11 MiB a pod, and 100 MiB eviction threshold (awslabs/amazon-eks-ami, nodeadm kubelet defaults).
    """
    cores = kind.vcpu
    reserved = 0.06 * min(cores, 1) + 0.01 * min(max(cores - 1, 0), 1)
    reserved += 0.005 * min(max(cores - 2, 0), 2) + 0.0025 * max(cores - 4, 0)
    return Allocatable(cores - reserved, kind.memory_gib * 1024 - 255 - 11 * max_pods - 100, max_pods)


def max_connections(instance_class: str) -> int | None:
    """A safe reading of RDS's default ``LEAST(DBInstanceClassMemory/9531392, 5000)``, None for an unknown class.

    RDS keeps part of the memory, so the formula on nominal memory is an upper bound: r7g.xlarge gives 3,604 on
    paper and about 3,300 in practice. We plan with 90 %.
    """
    memory = DATABASE_MEMORY_GIB.get(instance_class)
    if memory is None:
        return None
    return math.floor(0.9 * min(memory * 2**30 / 9_531_392, 5_000))
