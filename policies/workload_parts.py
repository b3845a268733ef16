"""Kubernetes workloads as checks see them: their pods and the containers of these, whatever kind makes them."""

from __future__ import annotations

from collections.abc import Iterator

from policies.properties import Properties
from stacks.graph import Graph, Resource

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"
DAEMON_SET = "kubernetes:apps/v1:DaemonSet"
ROLLOUT = "kubernetes:argoproj.io/v1alpha1:Rollout"
JOB = "kubernetes:batch/v1:Job"
CRON_JOB = "kubernetes:batch/v1:CronJob"
POD = "kubernetes:core/v1:Pod"
SERVING = (DEPLOYMENT, STATEFUL_SET, ROLLOUT)
WORKLOADS = (*SERVING, DAEMON_SET, JOB, CRON_JOB, POD)


def pod_of(resource: Resource) -> Properties:
    """The specification of the pods that a workload makes."""
    properties = Properties(resource.inputs)
    path = {POD: "spec", CRON_JOB: "spec.jobTemplate.spec.template.spec"}.get(resource.type, "spec.template.spec")
    return properties.part(path)


def pods(resource: Resource) -> Iterator[Properties]:
    yield pod_of(resource)


def containers(resource: Resource) -> Iterator[Properties]:
    """Those that start first included."""
    pod = pod_of(resource)
    yield from pod.parts("initContainers")
    yield from pod.parts("containers")


def main_containers(resource: Resource) -> Iterator[Properties]:
    yield from pod_of(resource).parts("containers")


def labels_of(resource: Resource) -> dict[str, str]:
    """The labels of the pods that a workload makes."""
    path = {POD: "metadata.labels", CRON_JOB: "spec.jobTemplate.spec.template.metadata.labels"}
    return Properties(resource.inputs).items(path.get(resource.type, "spec.template.metadata.labels"))


def selects(selector: Properties, labels: dict[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    if any(labels.get(key) != value for key, value in selector.items("matchLabels").items()):
        return False
    return all(_matches(expression, labels) for expression in selector.parts("matchExpressions"))


def _matches(expression: Properties, labels: dict[str, str]) -> bool:
    key, operator, values = expression.text("key") or "", expression.text("operator"), expression.texts("values")
    if operator in ("Exists", "DoesNotExist"):
        return (key in labels) is (operator == "Exists")
    return (labels.get(key) in values) is (operator == "In")


def namespace_of(resource: Resource) -> str | None:
    return Properties(resource.inputs).text("metadata.namespace")


def name_of(resource: Resource) -> str | None:
    return Properties(resource.inputs).text("metadata.name")


def targets(graph: Graph, scaler: Resource, path: str) -> list[Resource]:
    """What a scaleTargetRef or targetRef names."""
    reference = Properties(scaler.inputs).part(path)
    return [
        resource
        for resource in graph
        if resource.type in SERVING
        and resource.kind == reference.text("kind")
        and name_of(resource) == reference.text("name")
        and namespace_of(resource) == namespace_of(scaler)
    ]
