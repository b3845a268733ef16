"""When an object works, by the rules of pulumi-kubernetes for the kinds this project has."""

from __future__ import annotations

from typing import Any

from tests.cluster.api import Api, Manifest


class Failed(Exception):
    """It will not become ready any more; the message says why."""


def is_ready(pod: Manifest) -> bool:
    """Whether a pod says that it serves."""
    return any(row["type"] == "Ready" and row["status"] == "True" for row in _rows(pod["status"].get("conditions")))


def unready(live: Manifest, api: Api) -> str | None:
    """Why an object does not work yet, or None. Raises Failed."""
    status: dict[str, Any] = live.get("status") or {}
    conditions = {row["type"]: row for row in _rows(status.get("conditions"))}
    match live["kind"]:
        case "Deployment":
            return _rollout(live, status, conditions, api)
        case "Job":
            return _job(live, conditions, api)
        case "Namespace" if status.get("phase") != "Active":
            return "it is not active"
        case "CustomResourceDefinition" if conditions.get("Established", {}).get("status") != "True":
            return "it is not established"
        case "Service" if live["spec"].get("selector") and live["spec"].get("clusterIP") != "None":
            return _endpoints(live, api)
        case _:
            return None


def _rollout(live: Manifest, status: dict[str, Any], conditions: dict[str, Any], api: Api) -> str | None:
    progress = conditions.get("Progressing", {})
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return "the controller has not seen it"
    said = "; ".join(_pods_that_wait(live, api) + _refused_pods(conditions))
    if progress.get("reason") == "ProgressDeadlineExceeded":
        raise Failed(f"{progress['message']} {said}")
    wanted = live["spec"].get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < wanted or available < wanted or status.get("replicas", 0) > updated:
        return f"{available} of {wanted} replicas available, {updated} updated; {said}"
    return None


def _refused_pods(conditions: dict[str, Any]) -> list[str]:
    return [conditions["ReplicaFailure"]["message"]] if "ReplicaFailure" in conditions else []


def _job(live: Manifest, conditions: dict[str, Any], api: Api) -> str | None:
    if "Failed" in conditions:
        raise Failed("; ".join([conditions["Failed"].get("message", "it failed"), *_last_words(live, api)]))
    return None if "Complete" in conditions else "it has not completed"


def _last_words(live: Manifest, api: Api) -> list[str]:
    pods = api.all("v1", "Pod", live["metadata"]["namespace"], labelSelector=f"job-name={live['metadata']['name']}")
    ends: list[dict[str, Any]] = [
        state["state"]["terminated"]
        for pod in pods
        for state in _rows(pod["status"].get("containerStatuses"))
        if "terminated" in state.get("state", {})
    ]
    return sorted({f"exit code {end['exitCode']}: {end.get('message', end.get('reason'))}" for end in ends})


def _endpoints(live: Manifest, api: Api) -> str | None:
    selector = f"kubernetes.io/service-name={live['metadata']['name']}"
    slices = api.all("discovery.k8s.io/v1", "EndpointSlice", live["metadata"]["namespace"], labelSelector=selector)
    ends = [end for row in slices for end in _rows(row.get("endpoints"))]
    return None if any(end.get("conditions", {}).get("ready") for end in ends) else "it does not target any ready pod"


def _pods_that_wait(live: Manifest, api: Api) -> list[str]:
    labels: dict[str, str] = live["spec"]["selector"].get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    pods = api.all("v1", "Pod", live["metadata"]["namespace"], labelSelector=selector)
    conditions = [row for pod in pods for row in _rows(pod["status"].get("conditions"))]
    waiting = [row for row in conditions if row["type"] == "PodScheduled" and row["status"] == "False"]
    return sorted({row.get("message", "") for row in waiting})


def _rows(listed: Any) -> list[dict[str, Any]]:
    """A list of the server's, which is null or absent where it is empty."""
    return listed or []
