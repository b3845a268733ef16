"""Our verdicts against checkov's, which knows nothing of us; each disagreement is explained in disagreements.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.configuration import read
from policies.evaluate import evaluate
from stacks.graph import Resource
from tests.policies.mutating import CHECKS, TODAY, builds, failures
from tests.policies.mutations import MUTATIONS
from tests.policies.referee import beside, counterparts, judged_by_checkov, named, ours, write
from tests.policies.test_checks import shipped
from tools.catalogue import Unavailable
from tools.obtain import obtain

EXPLAINED: dict[str, str] = json.loads(Path(__file__).with_name("disagreements.json").read_text())
RELEVANT = [mutation for mutation in MUTATIONS if list(counterparts(CHECKS[mutation.check]))]


def mistaken() -> Iterator[tuple[str, dict[str, Resource], set[str]]]:
    """Each mistake's check, what a build with it has of the resources concerned, and which of these fail."""
    for build in builds(RELEVANT):
        found = failures(build)
        for mutation, failed in zip(build, found.by_mutation, strict=True):
            urns = {urn for urn, check in failed if check == mutation.check}
            yield mutation.check, beside(named(found.graph, f"--{mutation.check}"), urns), urns


@pytest.fixture(scope="module")
def checkov() -> Path:
    try:
        return obtain("checkov").path
    except Unavailable as reason:
        pytest.skip(str(reason))


def test_checkov_and_we_agree_but_for_what_is_explained(checkov: Path, tmp_path: Path) -> None:
    as_shipped, mistakes = named(shipped()), list(mistaken())
    write(tmp_path, [as_shipped, *(resources for _, resources, _ in mistakes)])
    theirs = judged_by_checkov(checkov, tmp_path)
    choices = read("prod", CHECKS.values())
    compared, differing = Counter[str](), set[str]()
    for check_id, resources, failing in mistakes:
        check = CHECKS[check_id]
        verdicts = evaluate([check], shipped(), choices, TODAY)
        passes = {name: ours(verdicts, r.urn) for name, r in as_shipped.items() if check.applies_to(r)}
        passes |= {name: False for name, resource in resources.items() if resource.urn in failing}
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
