"""Each mandatory check notices the mistake it is there for, made in the settings or in a component, and no other does."""

from __future__ import annotations

from collections.abc import Callable

import pulumi
import pytest

from policies.catalogue import all_checks
from policies.configuration import read
from tests.policies.mutating import Mutation, failures
from tests.policies.mutations import MUTATIONS

CHECKS = {check.id: check for check in all_checks()}


def _alone(mutation: Mutation) -> bool:
    """Whether others in the same build could hide what it does: what it breaks may show on another resource."""
    seen = [CHECKS[check].scope for check in (mutation.check, *mutation.also)]
    if mutation.call is None:
        return "stack" in seen or not mutation.added
    return "stack" in seen or issubclass(mutation.call, pulumi.ComponentResource)


def _builds() -> list[list[Mutation]]:
    """A build takes most of a second, so one proves many mutations, each on a resource type of its own."""
    alone = [[mutation] for mutation in MUTATIONS if _alone(mutation)]
    together = [mutation for mutation in MUTATIONS if not _alone(mutation)]
    added = [mutation for mutation in together if mutation.added]
    shared: list[list[Mutation]] = []
    for mutation in together:
        if mutation.call:
            free = (build for build in shared if mutation.call not in {other.call for other in build})
            build = next(free, None)
            if build is None:
                shared.append(build := [])
            build.append(mutation)
    return [*alone, added, *shared]


@pytest.mark.parametrize("build", _builds(), ids=lambda build: build[0].check + (" and more" if build[1:] else ""))
def test_a_mistake_fails_its_check_and_no_other(
    build: list[Mutation], record_property: Callable[[str, object], None]
) -> None:
    found = failures(build)
    expected = [{mutation.check, *mutation.also} for mutation in build]
    caught = sum(mutation.check in failed for mutation, failed in zip(build, found.by_mutation, strict=True))
    record_property("mutations", (caught, len(build)))
    assert found.by_mutation == expected
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
