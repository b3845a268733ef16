"""Admission policies of a captured graph, judged in process by Google's CEL. The cluster tier asks a real API server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext.ext_optional import ExtOptional

from stacks.graph import Graph

POLICY = "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy"
PLURALS = {
    "CronJob": "cronjobs",
    "DaemonSet": "daemonsets",
    "Deployment": "deployments",
    "Job": "jobs",
    "Pod": "pods",
    "Rollout": "rollouts",
    "Service": "services",
    "StatefulSet": "statefulsets",
}


def refusals(graph: Graph, manifest: Mapping[str, Any], namespace: Mapping[str, str]) -> Iterator[str]:
    """The messages with which policies refuse the creation of an object in a namespace of these labels."""
    for policy in graph.of_type(POLICY):
        spec = policy.inputs["spec"]
        binding = graph.one(f"{POLICY}Binding", policy.name).inputs["spec"]
        assert (spec["failurePolicy"], binding["validationActions"]) == ("Fail", ["Deny"])
        assert binding["policyName"] == policy.inputs["metadata"]["name"]
        selector = binding.get("matchResources", {}).get("namespaceSelector", {}).get("matchExpressions", [])
        if not all(_selects(row, namespace) for row in selector) or not _matches(spec, manifest):
            continue
        variables: dict[str, Any] = {}
        for row in spec.get("variables", []):
            variables[row["name"]] = _value(row["expression"], manifest, variables)
        for row in spec["validations"]:
            if _value(row["expression"], manifest, variables) is not True:
                yield row["message"]


def _matches(spec: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    group, _, version = str(manifest["apiVersion"]).rpartition("/")
    return any(
        group in rule["apiGroups"]
        and version in rule["apiVersions"]
        and PLURALS[manifest["kind"]] in rule["resources"]
        and "CREATE" in rule["operations"]
        for rule in spec["matchConstraints"]["resourceRules"]
    )


def _selects(row: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    listed = labels.get(row["key"]) in row["values"]
    return listed if row["operator"] == "In" else not listed


def _value(expression: str, manifest: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    answer = _compiled(expression).eval(data={"object": manifest, "variables": variables})
    return answer.plain_value()


@cache
def _compiled(expression: str) -> Any:
    environment = cel.NewEnv(variables={"object": cel.Type.DYN, "variables": cel.Type.DYN}, extensions=[ExtOptional()])
    return environment.compile(expression)
