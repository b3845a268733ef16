"""Each mandatory check notices the mistake it is there for, made in the settings or in a component, and no other does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from policies.configuration import read
from tests.policies.mutating import CHECKS, Mutation, builds, failures
from tests.policies.mutations import MUTATIONS


@pytest.mark.parametrize(
    "build", builds(MUTATIONS), ids=lambda build: build[0].check + (" and more" if build[1:] else "")
)
def test_a_mistake_fails_its_check_and_no_other(
    build: list[Mutation], record_property: Callable[[str, object], None]
) -> None:
    found = failures(build)
    expected = [{mutation.check, *mutation.also} for mutation in build]
    failed = [{check for _, check in each} for each in found.by_mutation]
    caught = sum(mutation.check in checks for mutation, checks in zip(build, failed, strict=True))
    record_property("mutations", (caught, len(build)))
    assert failed == expected
    assert found.by_nothing == set()


def test_every_mandatory_check_has_a_mutation() -> None:
    mandatory = {
        check
        for environment in ("dev", "prod")
        for check, choice in read(environment, CHECKS.values()).items()
        if choice.level == "mandatory"
    }
    assert mandatory <= {mutation.check for mutation in MUTATIONS}
    assert len({mutation.check for mutation in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("mutation", [m for m in MUTATIONS if m.setting], ids=lambda mutation: mutation.check)
def test_the_settings_either_take_the_mistake_or_refuse_it_and_a_component_makes_it(mutation: Mutation) -> None:
    assert (mutation.settings() is None) == (mutation.call is not None)
