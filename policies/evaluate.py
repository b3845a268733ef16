"""Runs checks over a graph: every subject by itself, so that one unknown value never hides another's violation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date

from policies.check import Check, Status, Subject, Verdict
from policies.configuration import Choice
from policies.properties import NotEvaluated, Properties
from stacks.graph import Graph, Resource


def evaluate(checks: Iterable[Check], graph: Graph, choices: Mapping[str, Choice], today: date) -> list[Verdict]:
    """A verdict for each subject of each check that is not disabled, in the order of the checks."""
    return [
        replace(verdict, must_know=choices[check.id].must_know)
        for check in checks
        if choices[check.id].level != "disabled"
        for verdict in _of_check(check, graph, choices[check.id], today)
    ]


def _of_resource(check: Check, resource: Resource, graph: Graph, choice: Choice, today: date) -> Iterator[Verdict]:
    """The verdicts on one resource of the check's types."""
    try:
        parts = list(check.subjects(resource))
    except NotEvaluated as problem:
        yield Verdict(check, choice.level, Status.NOT_EVALUATED, resource.urn, problem.path, str(problem))
        return
    except (TypeError, ValueError, AttributeError, KeyError) as failure:
        message = f"cannot be read ({type(failure).__name__})"  # as in _of_subject
        yield Verdict(check, choice.level, Status.NOT_EVALUATED, resource.urn, "", message)
        return
    for part in parts:
        yield _of_subject(check, Subject(resource, part, graph, today, choice.parameters), choice)


def _of_check(check: Check, graph: Graph, choice: Choice, today: date) -> list[Verdict]:
    found = [
        verdict
        for resource in graph
        if check.applies_to(resource)
        for verdict in _of_resource(check, resource, graph, choice, today)
    ]
    return found or [Verdict(check, choice.level, Status.NOT_APPLICABLE)]


def _of_subject(check: Check, subject: Subject, choice: Choice) -> Verdict:
    part: Properties = subject.properties
    try:
        wrong = check.judge(subject)
    except NotEvaluated as problem:
        return Verdict(
            check,
            choice.level,
            Status.NOT_EVALUATED,
            subject.resource.urn,
            problem.path,
            f"{problem.path} {problem.reason}",
        )
    except (TypeError, ValueError, AttributeError, KeyError) as failure:
        # A value of a kind that no reader foresaw: the other subjects must have their verdicts all the same.
        message = f"cannot be read ({type(failure).__name__})"
        return Verdict(check, choice.level, Status.NOT_EVALUATED, subject.resource.urn, part.place, message)
    status = Status.FAIL if wrong else Status.PASS
    return Verdict(check, choice.level, status, subject.resource.urn, part.place, wrong or "")
