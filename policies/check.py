"""What a check is: a small pure function with its reasons, its controls and its remedy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Any, Literal

from policies.properties import Properties
from stacks.graph import Graph, Resource

Severity = Literal["low", "medium", "high", "critical"]
Level = Literal["disabled", "advisory", "mandatory", "remediate"]
Framework = Literal["CIS EKS", "AWS FSBP", "Pod Security", "NSA/CISA", "SOC 2"]
Parameter = bool | float | str | list[str]


@dataclass(frozen=True)
class Subject:
    """What is judged at a time: a resource, or a part of one such as a container or a rule of a security group."""

    resource: Resource
    properties: Properties
    graph: Graph
    today: date
    parameters: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Where in the resource; empty for the whole."""
        return self.properties.place


Judge = Callable[[Subject], str | None]
"""What is wrong with the subject, or None. Raises NotEvaluated by reading what is not known."""


def whole(resource: Resource) -> Iterable[Properties]:
    yield Properties(resource.inputs)


Mend = Callable[[Subject], Mapping[str, Any]]
"""The inputs that make a failing resource right, where the level is remediate; the engine shows them in the diff."""


@dataclass(frozen=True)
class Check:
    """One rule. `scope` resource: it needs nothing but the resource, so the engine can stop it before it is created."""

    id: str
    title: str
    why: str
    remedy: str
    severity: Severity
    types: tuple[str, ...]
    judge: Judge
    references: tuple[str, ...]
    controls: Mapping[Framework, tuple[str, ...]]
    scope: Literal["resource", "stack"] = "resource"
    subjects: Callable[[Resource], Iterable[Properties]] = whole
    parameters: Mapping[str, Parameter] = field(default_factory=dict[str, Parameter])
    mend: Mend | None = None

    def applies_to(self, resource: Resource) -> bool:
        """A type of the package's name and :* stands for all its types."""
        return resource.type in self.types or f"{resource.package}:*" in self.types


def check(
    id: str,  # noqa: A002  what it is called in configuration, reports and documents
    title: str,
    *,
    severity: Severity,
    types: tuple[str, ...],
    remedy: str,
    controls: Mapping[Framework, tuple[str, ...]],
    references: tuple[str, ...] = (),
    scope: Literal["resource", "stack"] = "resource",
    subjects: Callable[[Resource], Iterable[Properties]] = whole,
    parameters: Mapping[str, Parameter] | None = None,
    mend: Mend | None = None,
) -> Callable[[Judge], Check]:
    """Makes a check of a judging function, whose docstring says why the rule is there.

    `title` says what holds when it passes; `references` are ids of public checks with the same idea (CKV: checkov,
    AWS-n: trivy, C-n: kubescape, KL: kube-linter, Pol: polaris, PRW: prowler), as read in their catalogues.
    """

    def made(judge: Judge) -> Check:
        why = inspect.cleandoc(judge.__doc__ or "")
        return Check(
            id,
            title,
            why,
            remedy,
            severity,
            types,
            judge,
            references,
            controls,
            scope,
            subjects,
            parameters or {},
            mend,
        )

    return made


class Status(Enum):
    """A verdict. Not evaluated is not passed: an input was not known, or not well formed."""

    PASS = "pass"  # noqa: S105  a verdict
    FAIL = "fail"
    NOT_EVALUATED = "not evaluated"
    NOT_APPLICABLE = "not applicable"
    WAIVED = "waived"


@dataclass(frozen=True)
class Verdict:
    """Of one check on one subject. `urn` is empty when nothing of the stack is of the check's types."""

    check: Check
    level: Level
    status: Status
    urn: str = ""
    place: str = ""
    message: str = ""
    must_know: bool = False

    @property
    def blocks(self) -> bool:
        unseen = self.status is Status.NOT_EVALUATED and self.must_know
        return unseen or (self.status is Status.FAIL and self.level == "mandatory")
