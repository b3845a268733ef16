"""Building production with an argument of a component's call changed, and what then fails of whose doing."""

from __future__ import annotations

import copy
import fnmatch
import inspect
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, cast
from unittest.mock import patch

import pulumi
from pydantic import BaseModel

from infra.problems import SettingsError
from infra.settings import Settings
from policies.catalogue import all_checks
from policies.check import Status
from policies.command import assess
from stacks import platform
from stacks.capture import capture
from stacks.graph import Graph
from stacks.platform import build
from tests.environments import settings_of
from tests.policies.editing import STEP

TODAY = date(2026, 11, 21)
CHECKS = {check.id: check for check in all_checks()}


@dataclass(frozen=True)
class Of:
    """An attribute of a resource that was made before, by type and logical name."""

    type: str
    name: str
    attribute: str


@dataclass(frozen=True)
class Mutation:
    """One mistake. `call` is a resource's or component's class, `path` leads into the arguments it is called with.

    `setting` is the same mistake where the settings can say it: accepted, it is made there; refused, `call` makes it
    all the same, to prove that the check does not lean on the rule. `also` are the checks that look at the same thing.
    """

    check: str
    call: type[pulumi.Resource] | None = None
    path: str = ""
    value: Any = None
    name: str = "*"
    setting: Mapping[str, Any] = field(default_factory=dict[str, Any])
    added: Callable[[Settings, pulumi.ResourceOptions], object] | None = None  # a call that no component makes
    also: tuple[str, ...] = ()

    def settings(self) -> Settings | None:
        """Production's with the mistake in them; None when the rules refuse it."""
        try:
            return settings_of("prod", dict(self.setting))
        except SettingsError:
            return None


Place = tuple[str, str]  # type and logical name
Failed = tuple[str, str]  # URN and check id


@dataclass(frozen=True)
class Failures:
    """What fails in a build, by what made it fail."""

    by_mutation: list[set[Failed]]
    by_nothing: set[Failed]  # on resources that no mutation touched


def failures(mutations: Sequence[Mutation]) -> tuple[Graph, Failures]:
    """One build with all the mutations, each on its own resources; and what fails in it."""
    touched: list[set[Place]] = [set() for _ in mutations]
    settings = mutations[0].settings() or settings_of("prod")
    with _changed(mutations, touched) as made:

        def program(settings: Settings) -> None:
            build(settings)
            providers = [made["pulumi:providers:aws", "aws"], made["pulumi:providers:kubernetes", "kubernetes"]]
            for mutation, places in zip(mutations, touched, strict=True):
                before = set(made)
                if mutation.added:
                    mutation.added(settings, pulumi.ResourceOptions(providers=cast("Any", providers)))
                places.update(set(made) - before)

        # The embedded cloud answers for the types of the shipped stacks only.
        with patch.object(platform, "build", program):
            graph = capture(settings, "prod", preview=any(m.added for m in mutations))
    failed = {(v.urn, v.check.id) for v in assess(graph, "prod", TODAY).of(Status.FAIL)}
    whose = {urn: index for urn, _ in failed for index, places in enumerate(touched) if _place(urn) in places}
    if len(mutations) == 1:
        whose = dict.fromkeys((urn for urn, _ in failed), 0)
    return graph, Failures(
        [{(urn, check) for urn, check in failed if whose.get(urn) == index} for index in range(len(mutations))],
        {(urn, check) for urn, check in failed if urn not in whose},
    )


def alone(mutation: Mutation) -> bool:
    """Whether others in the same build could hide what it does: what it breaks may show on another resource."""
    seen = [CHECKS[check].scope for check in (mutation.check, *mutation.also)]
    if mutation.call is None:
        return "stack" in seen or not mutation.added
    return "stack" in seen or issubclass(mutation.call, pulumi.ComponentResource)


def builds(mutations: Iterable[Mutation]) -> list[list[Mutation]]:
    """A build takes most of a second, so one proves many mutations, each on a resource type of its own."""
    apart, together = list[list[Mutation]](), list[Mutation]()
    for mutation in mutations:
        if alone(mutation):
            apart.append([mutation])
        else:
            together.append(mutation)
    added = [mutation for mutation in together if mutation.added]
    shared: list[list[Mutation]] = []
    for mutation in together:
        if mutation.call:
            free = (build for build in shared if mutation.call not in {other.call for other in build})
            build = next(free, None)
            if build is None:
                shared.append(build := [])
            build.append(mutation)
    return [*apart, *([added] if added else []), *shared]


def _place(urn: str) -> Place:
    _, _, types, name = urn.split("::")
    return types.rpartition("$")[2], name


@contextmanager
def _changed(mutations: Sequence[Mutation], touched: list[set[Place]]) -> Generator[dict[Place, pulumi.Resource]]:
    """While it lasts, the classes that the mutations name are called with their arguments."""
    made: dict[Place, pulumi.Resource] = {}
    with ExitStack() as stack:
        for type_ in {mutation.call for mutation in mutations if mutation.call}:
            chosen = [(m, touched[index]) for index, m in enumerate(mutations) if m.call is type_]
            stack.enter_context(patch.object(type_, "__init__", _constructor(type_, chosen, made)))
        stack.enter_context(patch.object(pulumi.Resource, "__init__", _recorder(made)))
        yield made


def _recorder(made: dict[Place, pulumi.Resource]) -> Callable[..., None]:
    original = pulumi.Resource.__init__

    def construct(resource: pulumi.Resource, type_: str, name: str, *rest: Any, **named: Any) -> None:
        made[type_, name] = resource
        original(resource, type_, name, *rest, **named)

    return construct


def _constructor(
    type_: type[pulumi.Resource], chosen: list[tuple[Mutation, set[Place]]], made: Mapping[Place, pulumi.Resource]
) -> Callable[..., None]:
    original = type_.__init__
    parameters = [*inspect.signature(original).parameters][1:]

    def construct(resource: pulumi.Resource, *positional: Any, **named: Any) -> None:
        given = dict(zip(parameters, positional, strict=False)) | named
        name = str(given[parameters[0]])
        hit = [(m, places) for m, places in chosen if fnmatch.fnmatchcase(name, m.name)]
        for mutation, _ in hit:
            value = mutation.value
            if isinstance(value, Of):
                value = getattr(made[value.type, value.name], value.attribute)
            steps = [text or int(index) for text, index in STEP.findall(mutation.path)]
            given = replaced(given, steps, value)
        original(resource, **given)
        for _, places in hit:
            places.add((resource.pulumi_resource_type, name))

    return construct


def replaced(holder: Any, steps: Sequence[str | int], value: Any) -> Any:
    """A copy with a value at a path: what a component shares between two calls must change in one only."""
    if not steps:
        return value
    step, *rest = steps
    if isinstance(holder, BaseModel):
        return holder.model_copy(update={str(step): replaced(getattr(holder, str(step)), rest, value)})
    if holder is None or isinstance(holder, dict):
        found = dict(cast("dict[str | int, Any]", holder or {}))
        found[step] = replaced(found.get(step), rest, value)
        return found
    result = copy.copy(holder)
    if isinstance(step, int):
        result[step] = replaced(holder[step], rest, value)
    else:
        setattr(result, step, replaced(getattr(holder, step), rest, value))
    return result
