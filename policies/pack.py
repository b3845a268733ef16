"""The checks as a Pulumi policy pack: `pulumi preview --policy-pack policies --policy-pack-config policies/config/prod.json`.

A check of one resource stops it before it is created; a check of the stack is asked at the end of a preview. Levels and
parameters come from the configuration file by way of the engine. What could not be evaluated is reported by a policy of
its own, for Pulumi would let it count as passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, cast

import pulumi_policy as engine
from pulumi_policy.proxy import UnknownValueError

from policies.catalogue import all_checks
from policies.check import Check, Parameter, Status, Verdict
from policies.configuration import Choice
from policies.evaluate import evaluate
from policies.waivers import Waiver, read_waivers, waived
from stacks.graph import UNKNOWN, Graph, Options, Resource

NOT_EVALUATED = "not-evaluated"
_SCHEMA = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}


def serve() -> None:
    """Answers the engine until it ends; never returns."""
    today = datetime.now(UTC).date()
    made = policies(all_checks(), read_waivers(today), today)
    engine.PolicyPack("langgraph-eks", made, engine.EnforcementLevel.ADVISORY)


def policies(checks: Iterable[Check], waivers: list[Waiver], today: date) -> list[engine.Policy]:
    """A policy for each check, and the one that says what was not evaluated."""
    known = list(checks)
    return [*(_policy(check, waivers, today) for check in known), _not_evaluated(known, today)]


def _policy(check: Check, waivers: list[Waiver], today: date) -> engine.Policy:
    def of_resource(arguments: engine.ResourceValidationArgs, report: engine.ReportViolation) -> None:
        resource = _resource(arguments)
        _report(check, Graph("", True, (resource,), {}), arguments.get_config(), report)

    def of_stack(arguments: engine.StackValidationArgs, report: engine.ReportViolation) -> None:
        _report(check, graph_of(arguments.resources), arguments.get_config(), report)

    def _report(
        check: Check, graph: Graph, parameters: Mapping[str, Parameter], report: engine.ReportViolation
    ) -> None:
        choice = Choice("advisory", {**check.parameters, **parameters})
        for verdict in waived(evaluate([check], graph, {check.id: choice}, today), waivers):
            if verdict.status is Status.FAIL:
                report(_told(verdict), verdict.urn)

    common: dict[str, Any] = {
        "name": check.id,
        "description": f"{check.title}. {check.remedy}",
        "config_schema": _schema(check.parameters),
        "severity": engine.Severity(check.severity),
        "remediation_steps": check.remedy,
    }
    if check.scope == "stack":
        return engine.StackValidationPolicy(validate=of_stack, **common)
    return engine.ResourceValidationPolicy(validate=of_resource, **common)


def _not_evaluated(checks: list[Check], today: date) -> engine.Policy:
    def validate(arguments: engine.StackValidationArgs, report: engine.ReportViolation) -> None:
        listed = cast("list[str]", arguments.get_config().get("checks") or [check.id for check in checks])
        graph = graph_of(arguments.resources)
        chosen = [check for check in checks if check.id in listed]
        choices = {check.id: Choice("advisory", check.parameters) for check in chosen}
        for verdict in evaluate(chosen, graph, choices, today):
            if verdict.status is Status.NOT_EVALUATED:
                report(f"{verdict.check.id}: {verdict.message}", verdict.urn)

    return engine.StackValidationPolicy(
        name=NOT_EVALUATED,
        description="Every check could see what it needs. A first preview does not know what the cloud will answer.",
        validate=validate,
        config_schema=_schema({"checks": list[str]()}),
    )


def graph_of(resources: Iterable[engine.PolicyResource]) -> Graph:
    """The engine's resources as a graph."""
    return Graph("", True, tuple(_of_stack(resource) for resource in resources), {})


def _resource(given: engine.ResourceValidationArgs) -> Resource:
    return _made(given.urn, given.resource_type, given.name, given.props, given.opts, {}, ())


def _of_stack(given: engine.PolicyResource) -> Resource:
    linked = {key: tuple(item.urn for item in items) for key, items in given.property_dependencies.items()}
    dependencies = tuple(sorted(item.urn for item in given.dependencies))
    return _made(given.urn, given.resource_type, given.name, given.props, given.opts, linked, dependencies)


def _made(
    urn: str,
    type_: str,
    name: str,
    properties: Mapping[str, Any],
    options: engine.PolicyResourceOptions,
    linked: Mapping[str, tuple[str, ...]],
    dependencies: tuple[str, ...],
) -> Resource:
    return Resource(
        urn=urn,
        type=type_,
        name=name,
        custom=not type_.startswith("langgraph-eks:"),
        parent=options.parent or "",
        inputs=cast("Mapping[str, Any]", plain(properties)),
        outputs={},
        id="",
        dependencies=dependencies,
        property_dependencies=linked,
        options=Options(
            protect=options.protect,
            delete_before_replace=bool(options.delete_before_replace),
            ignore_changes=tuple(options.ignore_changes),
        ),
    )


def plain(value: Any) -> Any:
    """The SDK's proxies as dictionaries and lists; what it would raise at reading is UNKNOWN."""
    if isinstance(value, Mapping):
        proxy = cast("Mapping[str, Any]", value)
        return {key: _read(proxy, key) for key in proxy}
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        return value
    return [_read(value, index) for index in range(len(value))]


def _read(proxy: Any, key: Any) -> Any:
    try:
        return plain(proxy[key])
    except UnknownValueError:
        return UNKNOWN


def _schema(parameters: Mapping[str, Any]) -> engine.PolicyConfigSchema | None:
    if not parameters:
        return None
    return engine.PolicyConfigSchema({name: {"type": _SCHEMA[type(value)]} for name, value in parameters.items()})


def _told(verdict: Verdict) -> str:
    place = f" ({verdict.place})" if verdict.place else ""
    return f"{verdict.message}{place}. {verdict.check.remedy}"
