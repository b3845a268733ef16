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
from policies.check import Check, Parameter, Status, Subject, Verdict
from policies.configuration import NOT_EVALUATED, Choice
from policies.evaluate import evaluate
from policies.properties import Properties
from policies.waivers import Waiver, read_waivers, waived
from stacks.graph import UNKNOWN, Graph, Options, Resource

Asked = dict[str, Mapping[str, Any]]
"""The inputs of resources by URN."""
_SCHEMA = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}


def serve() -> None:
    """Answers the engine until it ends; never returns."""
    today = datetime.now(UTC).date()
    made = policies(all_checks(), read_waivers(today), today)
    engine.PolicyPack("langgraph-eks", made, engine.EnforcementLevel.ADVISORY)


def policies(checks: Iterable[Check], waivers: list[Waiver], today: date) -> list[engine.Policy]:
    """A policy for each check, and the one that says what was not evaluated."""
    known = list(checks)
    asked: Asked = {}
    made = (_policy(check, waivers, asked, today) for check in known)
    return [_remember(asked), *made, _not_evaluated(known, asked, today)]


def _remember(asked: Asked) -> engine.Policy:
    def validate(arguments: engine.ResourceValidationArgs, _report: engine.ReportViolation) -> None:
        asked[arguments.urn] = cast("Mapping[str, Any]", plain(arguments.props))

    return engine.ResourceValidationPolicy(
        name="inputs",
        description="Reports nothing: it remembers what the program asks for, which the checks of the stack judge.",
        validate=validate,
    )


def _policy(check: Check, waivers: list[Waiver], asked: Asked, today: date) -> engine.Policy:
    def of_resource(arguments: engine.ResourceValidationArgs, report: engine.ReportViolation) -> None:
        package = arguments.resource_type.partition(":")[0]
        if arguments.resource_type in check.types or f"{package}:*" in check.types:
            graph = Graph("", True, (_resource(arguments),), {})
            _report(check, graph, arguments.get_config(), report)

    def mended(arguments: engine.ResourceValidationArgs) -> Mapping[str, Any] | None:
        resource = _resource(arguments)
        graph, parameters = Graph("", True, (resource,), {}), {**check.parameters, **arguments.get_config()}
        found = waived(evaluate([check], graph, {check.id: Choice("remediate", parameters)}, today), waivers)
        if check.mend is None or not any(verdict.status is Status.FAIL for verdict in found):
            return None
        properties = cast("dict[str, Any]", arguments.props)  # the SDK's proxy, which keeps unknowns and secrets
        for key, value in check.mend(Subject(resource, Properties(resource.inputs), graph, today, parameters)).items():
            properties[key] = value
        return properties

    def of_stack(arguments: engine.StackValidationArgs, report: engine.ReportViolation) -> None:
        _report(check, graph_of(arguments.resources, asked), arguments.get_config(), report)

    def _report(
        check: Check, graph: Graph, parameters: Mapping[str, Parameter], report: engine.ReportViolation
    ) -> None:
        choice = Choice("advisory", {**check.parameters, **parameters})
        for verdict in waived(evaluate([check], graph, {check.id: choice}, today), waivers):
            if verdict.status is Status.FAIL:
                report(_told(verdict), verdict.urn)

    common: dict[str, Any] = {
        "name": check.id,
        "description": f"{check.title}.",  # the engine prints it above the message, which holds the remedy
        "config_schema": _schema(check.parameters),
        "severity": engine.Severity(check.severity),
        "remediation_steps": check.remedy,
    }
    if check.scope == "stack":
        return engine.StackValidationPolicy(validate=of_stack, **common)
    return engine.ResourceValidationPolicy(
        validate=of_resource, remediate=cast("Any", mended) if check.mend else None, **common
    )


def _not_evaluated(checks: list[Check], asked: Asked, today: date) -> engine.Policy:
    def validate(arguments: engine.StackValidationArgs, report: engine.ReportViolation) -> None:
        listed = cast("list[str]", arguments.get_config().get("checks") or [check.id for check in checks])
        graph = graph_of(arguments.resources, asked)
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


def graph_of(resources: Iterable[engine.PolicyResource], asked: Asked) -> Graph:
    """The engine's resources as a graph, with the inputs that were asked for.

    The engine shows outputs, and in a preview a provider that is not known yet (Kubernetes, before its cluster) has
    none: what is only unseen would look like what is not set.
    """
    return Graph("", True, tuple(_of_stack(resource, asked.get(resource.urn)) for resource in resources), {})


def _resource(given: engine.ResourceValidationArgs) -> Resource:
    return _made(given.urn, given.resource_type, given.name, given.props, given.opts, {}, ())


def _of_stack(given: engine.PolicyResource, inputs: Mapping[str, Any] | None) -> Resource:
    linked = {key: tuple(item.urn for item in items) for key, items in given.property_dependencies.items()}
    dependencies = tuple(sorted(item.urn for item in given.dependencies))
    properties = given.props if inputs is None else inputs
    return _made(given.urn, given.resource_type, given.name, properties, given.opts, linked, dependencies)


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
