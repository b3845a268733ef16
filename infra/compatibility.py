"""What goes with what, and until when: pure functions of settings and a date, so that they fail before AWS does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta

from infra.problems import Problem
from infra.settings import Settings
from infra.versions import (
    ADD_ONS,
    KARPENTER,
    KUBERNETES_SUPPORT,
    POSTGRESQL,
    POSTGRESQL_SUPPORT,
    Support,
    kubernetes_support,
)

WARNING = timedelta(days=90)  # a minor upgrade with its rehearsal in dev takes a quarter in most teams

# The oldest Karpenter for a Kubernetes minor (karpenter.sh/docs/upgrading/compatibility, read 2026-08).
KARPENTER_FOR = {"1.33": (1, 5), "1.34": (1, 6), "1.35": (1, 9), "1.36": (1, 13)}
# kube-proxy may be up to three minors older than the API server, never newer (kubernetes.io version skew policy).
PROXY_SKEW = 3


def out_of_support(settings: Settings, on: date) -> Iterator[Problem]:
    """Versions whose standard support has ended on a date: extended support costs six times the control plane's price."""
    found = kubernetes_support(settings.cluster.version)
    if found and on > found.standard_until:
        newest = KUBERNETES_SUPPORT[-1].version
        yield Problem(
            "cluster.version",
            settings.cluster.version,
            f"EKS ended its standard support on {found.standard_until}, and our upgrade policy is STANDARD",
            f"Go up one minor at a time to {newest}: docs/operations/upgrades.md.",
        )
    database = _postgresql()
    if on > database.standard_until:
        yield Problem(
            "versions.POSTGRESQL",
            POSTGRESQL,
            f"RDS ended its support on {database.standard_until}",
            "Upgrade the major by a restored copy first: docs/operations/upgrades.md.",
        )


def ending_soon(settings: Settings, on: date) -> Iterator[Problem]:
    """Versions whose support ends within WARNING of a date, still running."""
    rows = (("cluster.version", kubernetes_support(settings.cluster.version)), ("versions.POSTGRESQL", _postgresql()))
    for field, row in rows:
        if row and on <= row.standard_until < on + WARNING:
            days = (row.standard_until - on).days
            yield Problem(
                field, row.version, f"support ends in {days} days, on {row.standard_until}", "Plan the upgrade."
            )


def incompatible(settings: Settings) -> Iterator[Problem]:
    """Pinned versions that do not go together with the chosen Kubernetes."""
    version = settings.cluster.version
    needed = KARPENTER_FOR.get(version)
    have = _numbers(KARPENTER.version)[:2]
    if needed is None or have < needed:
        least = ".".join(map(str, needed)) if needed else "an unknown version"
        yield Problem(
            "cluster.version", version, f"needs Karpenter {least} or later, and {KARPENTER.version} is pinned",
            "Raise KARPENTER in infra/versions.py first.",
        )  # fmt: skip
    proxy, server = _numbers(ADD_ONS["kube-proxy"].version)[1], _numbers(version)[1]
    if not server - PROXY_SKEW <= proxy <= server:
        yield Problem(
            "cluster.version", version, f"kube-proxy {ADD_ONS['kube-proxy'].version} is outside the allowed skew",
            "Pin kube-proxy of the same minor in infra/versions.py.",
        )  # fmt: skip


def _postgresql() -> Support:
    return next(row for row in POSTGRESQL_SUPPORT if row.version == POSTGRESQL)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
