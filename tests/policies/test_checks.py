"""Every check passes, fails, says that it cannot know, and says that it does not apply; and survives anything."""

from __future__ import annotations

import dataclasses
from datetime import date
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.catalogue import all_checks
from policies.check import Check, Status, Verdict
from policies.configuration import Choice
from policies.evaluate import evaluate
from stacks.graph import UNKNOWN, Graph
from tests.environments import graph_of
from tests.policies.cases import CASES, EXISTENCE, Case
from tests.policies.editing import added, changed, edited, without

TODAY = date(2026, 11, 21)
CHECKS = {check.id: check for check in all_checks()}
BY_ID = {case.check: case for case in CASES}


def shipped() -> Graph:
    """Production after an update: everything is known."""
    return graph_of("prod", preview=False)


def base(case: Case) -> Graph:
    return added(shipped(), *case.given)


def judged(check: Check, graph: Graph) -> list[Verdict]:
    return evaluate([check], graph, {check.id: Choice("mandatory", check.parameters)}, TODAY)


@cache
def passing(check: str) -> Verdict:
    """The first subject that passes, of the resources that the case brings when it brings some."""
    case = BY_ID[check]
    brought = {resource.urn for resource in case.given}
    found = [v for v in judged(CHECKS[case.check], base(case)) if v.status is Status.PASS]
    return next(v for v in found if (not brought or v.urn in brought) and v.urn.endswith(case.at))


def with_value(case: Case, path: str, value: Any) -> Graph:
    graph = base(case)
    if case.of:
        for resource in graph.of_type(case.of):
            graph = changed(graph, resource.urn, path, value)
        return graph
    subject = passing(case.check)
    in_document = path in ("policy", "assumeRolePolicy")
    whole = path if in_document or not subject.place else ".".join(part for part in (subject.place, path) if part)
    return changed(graph, subject.urn, whole, value)


def failing(case: Case) -> Graph:
    if case.failing:
        return added(base(case), *case.failing)
    if case.drop:
        return without(base(case), case.drop)
    if case.options:
        urn = passing(case.check).urn
        return edited(
            base(case),
            urn,
            lambda found: dataclasses.replace(found, options=dataclasses.replace(found.options, **case.options)),
        )
    return with_value(case, case.path, case.bad)


def test_every_check_has_its_case() -> None:
    assert sorted(BY_ID) == sorted(CHECKS)
    assert len(CASES) == len(BY_ID)


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.id)
def test_a_check_says_why_it_is_there_what_to_do_and_what_it_is_mapped_to(check: Check) -> None:
    assert check.why.endswith((".", ")"))
    assert check.remedy.endswith(".")
    assert check.controls
    assert all(check.controls.values())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.check)
def test_what_it_guards_against_fails_and_the_shipped_stack_passes(case: Case) -> None:
    if not case.failing:
        assert passing(case.check)
    assert Status.FAIL in {verdict.status for verdict in judged(CHECKS[case.check], failing(case))}


@pytest.mark.parametrize("case", [c for c in CASES if c.unknown != EXISTENCE], ids=lambda case: case.check)
def test_an_unknown_value_is_not_taken_for_a_pass(case: Case) -> None:
    graph = with_value(case, case.unknown or case.path, UNKNOWN)
    unseen = [v for v in judged(CHECKS[case.check], graph) if v.status is Status.NOT_EVALUATED]
    assert unseen
    assert all(verdict.message for verdict in unseen)


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.id)
def test_a_stack_without_such_resources_is_not_judged(check: Check) -> None:
    graph = dataclasses.replace(shipped(), resources=tuple(r for r in shipped() if not check.applies_to(r)))
    assert [verdict.status for verdict in judged(check, graph)] == [Status.NOT_APPLICABLE]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just(UNKNOWN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@settings(
    max_examples=6, deadline=None, suppress_health_check=(HealthCheck.too_slow, HealthCheck.function_scoped_fixture)
)
@given(data=st.data())
@pytest.mark.parametrize("case", [c for c in CASES if c.path], ids=lambda case: case.check)
def test_a_malformed_property_never_ends_the_run(case: Case, data: st.DataObject) -> None:
    graph = with_value(case, data.draw(st.sampled_from([case.path, case.path.partition(".")[0]])), data.draw(ANYTHING))
    assert judged(CHECKS[case.check], graph)


@pytest.mark.parametrize(("capability", "status"), [("SYS_ADMIN", Status.FAIL), ("NET_BIND_SERVICE", Status.PASS)])
def test_of_the_capabilities_that_are_taken_back_the_low_ports_alone_pass(capability: str, status: Status) -> None:
    case, target = BY_ID["pods-no-capabilities"], passing("pods-no-capabilities")
    verdicts = judged(CHECKS[case.check], with_value(case, "securityContext.capabilities.add", [capability]))
    assert [v.status for v in verdicts if (v.urn, v.place) == (target.urn, target.place)] == [status]


def test_one_unknown_value_does_not_hide_another_resources_violation() -> None:
    case = BY_ID["logs-retention"]
    first, second, *_ = shipped().of_type("aws:cloudwatch/logGroup:LogGroup")
    graph = changed(shipped(), first.urn, "retentionInDays", UNKNOWN)
    graph = changed(graph, second.urn, "retentionInDays", 0)
    found = {verdict.urn: verdict.status for verdict in judged(CHECKS[case.check], graph)}
    assert (found[first.urn], found[second.urn]) == (Status.NOT_EVALUATED, Status.FAIL)
