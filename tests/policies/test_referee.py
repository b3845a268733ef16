"""Our verdicts against checkov's, which knows nothing of us; each disagreement is explained in disagreements.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies.configuration import read
from policies.evaluate import evaluate
from stacks.graph import Resource
from tests.policies.cases import CASES
from tests.policies.referee import counterparts, judged_by_checkov, named, ours, write
from tests.policies.test_checks import CHECKS, TODAY, failing, passing, shipped
from tools.catalogue import Unavailable
from tools.obtain import obtain

EXPLAINED: dict[str, str] = json.loads(Path(__file__).with_name("disagreements.json").read_text())
RELEVANT = [case for case in CASES if list(counterparts(CHECKS[case.check])) and case.path and not case.of]


def with_mistakes() -> tuple[dict[str, Resource], dict[str, str]]:
    """Every resource as shipped, a copy with one mistake for each check, and the copies' names by check."""
    resources, mistaken = named(shipped()), dict[str, str]()
    for case in RELEVANT:
        urn = passing(case.check).urn
        for name, resource in named(failing(case), f"--{case.check}").items():
            if resource.urn == urn:
                mistaken[case.check], resources[name] = name, resource
    return resources, mistaken


@pytest.fixture(scope="module")
def checkov() -> Path:
    try:
        return obtain("checkov").path
    except Unavailable as reason:
        pytest.skip(str(reason))


def test_checkov_and_we_agree_but_for_what_is_explained(checkov: Path, tmp_path: Path) -> None:
    resources, mistaken = with_mistakes()
    write(tmp_path, resources)
    theirs = judged_by_checkov(checkov, tmp_path)
    choices = read("prod", CHECKS.values())
    compared, differing = 0, set[str]()
    for check in (CHECKS[case.check] for case in RELEVANT):
        verdicts = evaluate([check], shipped(), choices, TODAY)
        for code in counterparts(check):
            mine = {name: ours(verdicts, r.urn) for name, r in named(shipped()).items() if check.applies_to(r)}
            if check.id in mistaken:
                mine[mistaken[check.id]] = False
            for name, passed in mine.items():
                if passed is not None and (code, name) in theirs:
                    compared += 1
                    if passed != theirs[code, name]:
                        differing.add(f"{check.id} {code} {'mistaken' if '--' in name else 'shipped'}")
    assert compared > 250
    assert sorted(differing) == sorted(EXPLAINED)
