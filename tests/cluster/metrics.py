"""The metrics APIs that a HorizontalPodAutoscaler reads, with values that a test sets: metrics-server and adapter stood in for."""

from __future__ import annotations

import json
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.cluster.api import until
from tests.cluster.control_plane import ControlPlane

VERSIONS = {
    "metrics.k8s.io": "v1beta1",
    "custom.metrics.k8s.io": "v1beta2",
    "external.metrics.k8s.io": "v1beta1",
}
SERVICE = {"name": "metrics", "namespace": "kube-system"}


@dataclass
class Metrics:
    """What is measured now. What is not here is missing, as when its source is down."""

    containers: dict[str, dict[str, str]] = field(default_factory=dict)  # container → resource → usage in each pod
    pods: dict[str, str] = field(default_factory=dict)  # custom metric → value of each pod
    external: dict[str, str] = field(default_factory=dict)


@contextmanager
def served(server: ControlPlane) -> Generator[Metrics]:
    """Serve the three APIs behind the API server's own address."""
    metrics = Metrics()
    web = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server, metrics))
    web.daemon_threads = True
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*server.certificate)
    web.socket = tls.wrap_socket(web.socket, server_side=True)
    Thread(target=web.serve_forever, args=(0.1,), daemon=True).start()
    registrations = [_registration(group, version, web.server_port) for group, version in VERSIONS.items()]
    server.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": SERVICE,
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": web.server_port}]},
        }
    )
    try:
        for registration in registrations:
            server.api.apply(registration)
        until(lambda: all(_available(server, row) for row in registrations), 30, "metrics APIs available")
        yield metrics
    finally:
        # First: the API server deletes no namespace while an API that it was told of does not answer.
        for registration in registrations:
            server.api.delete(registration)
        web.shutdown()
        web.server_close()


def _registration(group: str, version: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{version}.{group}"},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {**SERVICE, "port": port},
        },
    }


def _available(server: ControlPlane, registration: dict[str, Any]) -> bool:
    live = server.api.get(registration) or {}
    conditions = live.get("status", {}).get("conditions", [])
    return any(row["type"] == "Available" and row["status"] == "True" for row in conditions)


def _handler(server: ControlPlane, metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            parts = unquote(address.path).strip("/").split("/")  # the wildcard for all pods comes as %2A
            selector = parse_qs(address.query).get("labelSelector", [""])[0]
            answer = _answer(server, metrics, parts, selector)
            code = 200 if answer is not None else 404
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound"}
            content = json.dumps(answer or missing).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...

    return Handler


def _answer(server: ControlPlane, metrics: Metrics, parts: list[str], selector: str) -> dict[str, Any] | None:
    """The answer to /apis/GROUP/VERSION/…, or None for what there is not."""
    match parts:
        case ["apis", group, version]:
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{group}/{version}",
                "resources": _resources(metrics, group),
            }
        case ["apis", "metrics.k8s.io", _, "namespaces", namespace, "pods"]:
            items = (
                [_usage(metrics, pod) for pod in _running(server, namespace, selector)] if metrics.containers else []
            )
            return {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}
        case ["apis", "metrics.k8s.io", _, "pods"]:
            items = [_usage(metrics, pod) for pod in _running(server, None, selector)]
            return {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}
        case ["apis", "custom.metrics.k8s.io", _, "namespaces", namespace, "pods", "*", name] if name in metrics.pods:
            pods = _running(server, namespace, selector)
            items = [_value(pod, name, metrics.pods[name]) for pod in pods]
            return {"kind": "MetricValueList", "apiVersion": "custom.metrics.k8s.io/v1beta2", "items": items}
        case ["apis", "external.metrics.k8s.io", _, "namespaces", _, name] if name in metrics.external:
            item = {"metricName": name, "timestamp": _now(), "value": metrics.external[name]}
            return {"kind": "ExternalMetricValueList", "apiVersion": "external.metrics.k8s.io/v1beta1", "items": [item]}
        case _:
            return None


def _resources(metrics: Metrics, group: str) -> list[dict[str, Any]]:
    kinds = {
        "metrics.k8s.io": [("pods", "PodMetrics")],
        "custom.metrics.k8s.io": [(f"pods/{name}", "MetricValueList") for name in metrics.pods],
        "external.metrics.k8s.io": [(name, "ExternalMetricValueList") for name in metrics.external],
    }
    return [
        {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
        for name, kind in kinds.get(group, [])
    ]


def _running(server: ControlPlane, namespace: str | None, selector: str) -> list[dict[str, Any]]:
    pods = server.api.all("v1", "Pod", namespace, **({"labelSelector": selector} if selector else {}))
    return [pod for pod in pods if pod["status"].get("phase") == "Running"]


def _usage(metrics: Metrics, pod: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {key: pod["metadata"].get(key) for key in ("name", "namespace", "labels")},
        "timestamp": _now(),
        "window": "15s",
        "containers": [
            {"name": container["name"], "usage": metrics.containers[container["name"]]}
            for container in pod["spec"]["containers"]
            if container["name"] in metrics.containers
        ],
    }


def _value(pod: dict[str, Any], name: str, value: str) -> dict[str, Any]:
    described = {"kind": "Pod", "apiVersion": "/v1", **{k: pod["metadata"][k] for k in ("name", "namespace")}}
    return {"describedObject": described, "metric": {"name": name}, "timestamp": _now(), "value": value}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
