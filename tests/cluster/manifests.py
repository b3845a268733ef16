"""Small objects that every rule of the service's namespace allows, for tests to break one thing in."""

from __future__ import annotations

from typing import Any

from tests.cluster.api import Manifest

NAMESPACE = "demo"
REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/langgraph-agents"
IMAGE = f"{REPOSITORY}@sha256:{'a' * 64}"
NEWER = f"{REPOSITORY}@sha256:{'b' * 64}"
# The fates that kwok_stages.yaml knows.
NEVER_READY = f"{REPOSITORY}@sha256:dead{'0' * 60}"
FAILING = f"{REPOSITORY}@sha256:bad{'0' * 61}"


def manifest(version: str, kind: str, name: str, **content: Any) -> Manifest:
    """An object of the namespace."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, **content}


def pod(name: str, namespace: str = NAMESPACE, container: dict[str, Any] | None = None, **spec: Any) -> Manifest:
    """A pod that Pod Security's restricted level admits, with some of its container and of itself changed."""
    one = manifest("v1", "Pod", name, spec={**_pod_spec(IMAGE, container or {}), **spec})
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/component": "test"}
    return {**one, "metadata": {"name": name, "namespace": namespace, "labels": labels}}


def deployment(
    name: str, image: str = IMAGE, *, app: str = "", container: dict[str, Any] | None = None, **spec: Any
) -> Manifest:
    """Two such pods; ``app`` is the label they are selected by."""
    labels = {"app": app or name}
    template = {"metadata": {"labels": labels}, "spec": _pod_spec(image, container or {})}
    whole = {"selector": {"matchLabels": labels}, "replicas": 2, "template": template, **spec}
    return manifest("apps/v1", "Deployment", name, spec=whole)


def _pod_spec(image: str, container: dict[str, Any]) -> dict[str, Any]:
    rights = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "demo", "image": image, "securityContext": rights, **container}],
    }
