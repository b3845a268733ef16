"""The measured coverage adds up: every control is covered, out of a program's sight, or named with its reason."""

from __future__ import annotations

from typing import get_args

import pytest

from policies.catalogue import all_checks
from policies.check import Framework
from policies.frameworks import CATALOGUES, Catalogue, controls_of


def test_every_framework_that_checks_are_mapped_to_is_measured() -> None:
    assert {catalogue.framework for catalogue in CATALOGUES} == set(get_args(Framework))


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda catalogue: catalogue.framework)
def test_every_control_is_covered_or_its_reason_is_given(catalogue: Catalogue) -> None:
    reasons = (catalogue.unused, catalogue.out_of_sight, catalogue.uncovered)
    explained = [control for given in reasons for control in controls_of(given)]
    assert sorted([*catalogue.covered(all_checks()), *explained]) == sorted(catalogue.controls)


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda catalogue: catalogue.framework)
def test_no_check_is_mapped_to_a_control_that_its_framework_does_not_have(catalogue: Catalogue) -> None:
    mapped = {control for check in all_checks() for control in check.controls.get(catalogue.framework, ())}
    assert mapped <= set(catalogue.controls)
