"""Each mandatory check notices the mistake it is there for, and no other does; and checkov, as a referee, agrees."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from policies.configuration import read
from policies.evaluate import evaluate
from tests.policies.mutating import CHECKS, TODAY, Failed, Failures, Mutation, builds, failures
from tests.policies.mutations import MUTATIONS
from tests.policies.referee import Named, beside, counterparts, judged_by_checkov, named, ours, write
from tests.policies.test_checks import shipped
from tools.catalogue import Unavailable
from tools.obtain import obtain

BUILDS = builds(MUTATIONS)
EXPLAINED: dict[str, str] = json.loads(Path(__file__).with_name("disagreements.json").read_text())


@cache
def made(number: int) -> tuple[Failures, list[Named]]:
    """What fails in a build, and of each mistake the resources concerned; the graphs of all builds would be too much."""
    graph, found = failures(BUILDS[number])
    return found, [
        beside(named(graph, f"--{mutation.check}"), failing(mutation, failed))
        for mutation, failed in zip(BUILDS[number], found.by_mutation, strict=True)
    ]


def failing(mutation: Mutation, failed: set[Failed]) -> set[str]:
    return {urn for urn, check in failed if check == mutation.check}


@pytest.mark.parametrize(
    "number", range(len(BUILDS)), ids=[build[0].check + (" and more" if build[1:] else "") for build in BUILDS]
)
def test_a_mistake_fails_its_check_and_no_other(number: int, record_property: Callable[[str, object], None]) -> None:
    build, (found, _) = BUILDS[number], made(number)
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


def mistaken() -> Iterator[tuple[str, Named, set[str]]]:
    """Each mistake's check that checkov has too, the resources concerned, and which of these fail."""
    for number, build in enumerate(BUILDS):
        if not any(list(counterparts(CHECKS[mutation.check])) for mutation in build):
            continue
        found, concerned = made(number)
        for mutation, failed, resources in zip(build, found.by_mutation, concerned, strict=True):
            if list(counterparts(CHECKS[mutation.check])):
                yield mutation.check, resources, failing(mutation, failed)


@pytest.fixture(scope="module")
def checkov() -> Path:
    try:
        return obtain("checkov").path
    except Unavailable as reason:
        pytest.skip(str(reason))


def test_checkov_and_we_agree_but_for_what_is_explained(checkov: Path, tmp_path: Path) -> None:
    """Checkov knows nothing of us. What it says otherwise is explained in disagreements.json."""
    as_shipped, mistakes = named(shipped()), list(mistaken())
    write(tmp_path, [as_shipped, *(resources for _, resources, _ in mistakes)])
    theirs = judged_by_checkov(checkov, tmp_path)
    choices = read("prod", CHECKS.values())
    compared, differing = Counter[str](), set[str]()
    for check_id, resources, wrong in mistakes:
        check = CHECKS[check_id]
        verdicts = evaluate([check], shipped(), choices, TODAY)
        passes = {name: ours(verdicts, r.urn) for name, r in as_shipped.items() if check.applies_to(r)}
        passes |= {name: False for name, resource in resources.items() if resource.urn in wrong}
        for code in counterparts(check):
            for name, passed in passes.items():
                if passed is not None and (code, name) in theirs:
                    where = "mistaken" if "--" in name else "shipped"
                    compared[where] += 1
                    if passed != theirs[code, name]:
                        differing.add(f"{check.id} {code} {where}")
    print(f"compared with checkov: {dict(compared)}; {len(differing)} disagreements")
    assert compared["shipped"] > 250
    assert compared["mistaken"] >= 40
    assert sorted(differing - EXPLAINED.keys()) == []
    assert sorted(EXPLAINED.keys() - differing) == []
