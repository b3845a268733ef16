"""What goes with what, and until when: pure functions of settings and a date, so that they fail before AWS does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from infra.problems import Problem
from infra.settings import Settings
from infra.versions import (
    ADD_ONS,
    CHARTS,
    KARPENTER,
    KUBERNETES_SUPPORT,
    NODE_IMAGE,
    NODE_RELEASE,
    POSTGRESQL,
    POSTGRESQL_SUPPORT,
    VALKEY,
    VALKEY_SUPPORT,
    Pin,
    Support,
    kubernetes_support,
)

WARNING = timedelta(days=90)  # a minor upgrade with its rehearsal in dev takes a quarter in most teams

# The oldest Karpenter for a Kubernetes minor (karpenter.sh/docs/upgrading/compatibility, read 2026-08).
KARPENTER_FOR = {"1.33": (1, 5), "1.34": (1, 6), "1.35": (1, 9), "1.36": (1, 13)}
# kubelet and kube-proxy may be up to three minors older than the API server, never newer
# (kubernetes.io/releases/version-skew-policy).
SKEW = 3


Refusal = tuple[str, str]  # the rule that is broken, and the remedy


@dataclass(frozen=True)
class Entry:
    """One line of the version matrix of an environment."""

    field: str  # where the version is chosen
    version: str
    against: str  # what it has to go with
    refused: Refusal | None
    shown: bool  # whether a source shows the two together; what nobody showed is counted, not refused
    until: date | None  # the last day of standard support; None where no end has been announced
    source: str


def matrix(kubernetes: str) -> tuple[Entry, ...]:
    """Everything that is pinned, against a Kubernetes minor and in time."""
    server = kubernetes_support(kubernetes)
    return (
        Entry(
            "cluster.version", kubernetes, "EKS", None, server is not None,
            server.standard_until if server else None, server.source if server else "",
        ),
        _pinned("versions.KARPENTER", KARPENTER, kubernetes, _karpenter(kubernetes)),
        *(_pinned(f"versions.ADD_ONS[{name}]", pin, kubernetes, _add_on(pin, kubernetes)) for name, pin in ADD_ONS.items()),
        _pinned("versions.NODE_RELEASE", NODE_RELEASE, kubernetes, _skew("kubelet", NODE_RELEASE, kubernetes)),
        _pinned("versions.NODE_IMAGE", NODE_IMAGE, kubernetes, None),
        *(_pinned(f"versions.CHARTS[{name}]", pin, kubernetes, None) for name, (pin, _) in CHARTS.items() if pin != KARPENTER),
        _store("versions.POSTGRESQL", "RDS", _row(POSTGRESQL_SUPPORT, POSTGRESQL)),
        _store("versions.VALKEY", "ElastiCache", _row(VALKEY_SUPPORT, VALKEY)),
    )  # fmt: skip


def incompatible(settings: Settings) -> Iterator[Problem]:
    """Pinned versions that do not go together with the chosen Kubernetes."""
    version = settings.cluster.version
    for entry in matrix(version):
        if entry.refused:
            yield Problem("cluster.version", version, *entry.refused)


def out_of_support(settings: Settings, on: date, called: str = "") -> Iterator[Problem]:
    """Versions whose standard support ends before a date, which ``called`` names in the message.

    Extended support of EKS costs six times the control plane's price.
    """
    newest = KUBERNETES_SUPPORT[-1].version
    for entry in matrix(settings.cluster.version):
        if entry.until is None or on <= entry.until:
            continue
        rule = f"{entry.against} ends its standard support on {entry.until}, before {called or on}"
        if entry.version == newest:
            remedy = "No later version is known here: choose an earlier date, or add the version to infra/versions.py."
        elif entry.field == "cluster.version":
            rule += ", and our upgrade policy is STANDARD"
            remedy = f"Go up one minor at a time to {newest}: docs/operations/upgrades.md."
        else:
            remedy = "Upgrade the major by a restored copy first: docs/operations/upgrades.md."
        yield Problem(entry.field, entry.version, rule, remedy)


def ending_soon(settings: Settings, on: date) -> Iterator[Problem]:
    """Versions whose support ends within WARNING of a date, still running."""
    for entry in matrix(settings.cluster.version):
        if entry.until and on <= entry.until < on + WARNING:
            days = (entry.until - on).days
            yield Problem(
                entry.field, entry.version, f"support ends in {days} days, on {entry.until}", "Plan the upgrade."
            )


def _karpenter(kubernetes: str) -> Refusal | None:
    needed = KARPENTER_FOR.get(kubernetes)
    if needed and _numbers(KARPENTER.version)[:2] >= needed:
        return None
    least = ".".join(map(str, needed)) if needed else "an unknown version"
    rule = f"needs Karpenter {least} or later, and {KARPENTER.version} is pinned"
    return rule, "Raise KARPENTER in infra/versions.py first."


def _add_on(pin: Pin, kubernetes: str) -> Refusal | None:
    # kube-proxy alone is versioned like Kubernetes; for the others EKS offers what goes together, and says so in
    # DescribeAddonVersions, which python -m stacks.check asks.
    return _skew("kube-proxy", pin, kubernetes) if pin.name == "kube-proxy" else None


def _skew(component: str, pin: Pin, kubernetes: str) -> Refusal | None:
    minor, server = _numbers(pin.version)[1], _numbers(kubernetes)[1]
    if server - SKEW <= minor <= server:
        return None
    rule = f"{component} {pin.version} is outside the allowed skew"
    return rule, "Pin one of the same minor in infra/versions.py."


def _pinned(field: str, pin: Pin, kubernetes: str, refused: Refusal | None) -> Entry:
    # No end: neither Karpenter nor AWS announces one for a version of these; EKS stops listing an add-on's version.
    return Entry(
        field, pin.version, f"Kubernetes {kubernetes}", refused, kubernetes in pin.kubernetes, None, pin.source
    )


def _store(field: str, service: str, row: Support) -> Entry:
    return Entry(field, row.version, service, None, True, row.standard_until, row.source)


def _row(table: tuple[Support, ...], version: str) -> Support:
    return next(row for row in table if row.version == version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
