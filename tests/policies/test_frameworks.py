"""The measured coverage adds up: every control is covered, out of a program's sight, or named with its reason."""

from __future__ import annotations

import pytest

from policies.catalogue import all_checks
from policies.frameworks import CATALOGUES, Catalogue


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda catalogue: catalogue.framework)
def test_every_control_is_covered_or_its_reason_is_given(catalogue: Catalogue) -> None:
    parts = [*catalogue.covered(all_checks()), *catalogue.out_of_sight, *catalogue.uncovered]
    assert sorted(parts) == sorted(catalogue.controls)


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda catalogue: catalogue.framework)
def test_no_check_is_mapped_to_a_control_that_its_framework_does_not_have(catalogue: Catalogue) -> None:
    mapped = {control for check in all_checks() for control in check.controls.get(catalogue.framework, ())}
    assert mapped <= set(catalogue.controls)
