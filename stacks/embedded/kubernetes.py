"""The kubernetes stand-in: objects checked against the schemas of the pinned version, kept in the embedded cloud.

``Objects`` is the seam: a real API server can keep the objects instead of the store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, cast

import kubernetes_validate
import yaml

from infra.versions import KUBERNETES
from stacks.embedded.cloud import Change, CloudError, differing
from stacks.embedded.outputs import created
from stacks.embedded.store import Store, Stored
from stacks.graph import UNKNOWN
from stacks.wire import has_unknown, revealed

RELEASE = "kubernetes:helm.sh/v3:Release"
NAMESPACE = "kubernetes:core/v1:Namespace"
SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
# Fields an API server refuses to change, by kind; pulumi-kubernetes replaces the object (provider/pkg/clients/force_new.go).
IMMUTABLE = {
    "Deployment": ("spec.selector",),
    "Job": ("spec.selector", "spec.template", "spec.completions"),
    "Service": ("spec.clusterIP",),
    "StatefulSet": ("spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"),
    "PersistentVolumeClaim": ("spec",),
    "ConfigMap": ("data", "binaryData"),  # replaced so that pods restart, unless the provider is told otherwise
    "Secret": ("data", "stringData", "type"),
    "StorageClass": ("provisioner", "parameters"),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
}
ALWAYS = ("apiVersion", "kind", "metadata.name", "metadata.namespace")


class Kubernetes:
    """The objects of one cluster, which must exist in the embedded AWS as long as its objects do."""

    version = version("pulumi-kubernetes")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._server = ""

    def configure(self, arguments: Mapping[str, Any]) -> None:
        kubeconfig = revealed(arguments.get("kubeconfig"))
        if isinstance(kubeconfig, str) and kubeconfig:
            config: Any = yaml.safe_load(kubeconfig)
            self._server = str(config["clusters"][0]["cluster"]["server"])

    def check(
        self, type_: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], seed: bytes
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        del urn, old, seed
        if type_ == RELEASE:
            return dict(new), [] if new.get("chart") else [("chart", "missing required property")]
        return dict(new), list(_invalid(revealed(dict(new))))

    def diff(self, type_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
        fixed = ("name", "namespace") if type_ == RELEASE else (*ALWAYS, *IMMUTABLE.get(str(new.get("kind")), ()))
        paths = {
            path: any(path == field or path.startswith(f"{field}.") for field in fixed)
            for path in differing(revealed(old), revealed(new))
        }
        moved = {"metadata.name", "metadata.namespace", "name", "namespace"} & set(paths)
        return Change(paths, delete_first=any(paths.values()) and not moved)

    def create(self, type_: str, urn: str, inputs: Mapping[str, Any], *, preview: bool) -> tuple[str, dict[str, Any]]:
        identifier, computed = created(type_, "", urn, revealed(dict(inputs)), "")
        if preview:
            return identifier, {**inputs}
        self._reachable()
        self._namespace_exists(inputs)
        if self._store.get(type_, identifier) is not None:
            raise CloudError(f'{type_.rsplit(":", 1)[-1].lower()} "{identifier}" already exists')
        self._store.next_generation(urn)
        outputs = {**inputs, **computed}
        self._store.put(Stored(type_, identifier, urn, revealed(dict(inputs)), revealed(outputs)))
        return identifier, outputs

    def read(self, type_: str, identifier: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        row = self._store.get(type_, identifier)
        return (row.inputs, row.outputs) if row else None

    def update(
        self, type_: str, identifier: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], *, preview: bool
    ) -> dict[str, Any]:
        outputs: dict[str, Any] = dict(new)
        if isinstance(old.get("metadata"), dict) and isinstance(new.get("metadata"), dict):
            stamps = ("uid", "creationTimestamp", "resourceVersion", "generation")
            outputs["metadata"] = {**new["metadata"], **{key: old["metadata"].get(key) for key in stamps}}
        elif "status" in old:
            outputs["status"] = old["status"]
        if not preview:
            self._reachable()
            if isinstance(outputs.get("metadata"), dict):
                outputs["metadata"]["resourceVersion"] = str(int(outputs["metadata"]["resourceVersion"]) + 1)
            self._store.put(Stored(type_, identifier, urn, revealed(dict(new)), revealed(outputs)))
        return outputs

    def delete(self, type_: str, identifier: str, outputs: Mapping[str, Any]) -> None:
        del outputs
        self._reachable()
        self._store.remove(type_, identifier)
        if type_ == NAMESPACE:  # its content goes with it
            for row in self._store.all("kubernetes:%"):
                if row.id.startswith(f"{identifier}/"):
                    self._store.remove(row.type, row.id)

    def _reachable(self) -> None:
        if self._server and all(row.value("endpoint") != self._server for row in self._store.all("aws:eks/cluster:%")):
            raise CloudError(f"configured Kubernetes cluster is unreachable: no cluster answers at {self._server}")

    def _namespace_exists(self, inputs: Mapping[str, Any]) -> None:
        metadata = cast("dict[str, Any]", inputs.get("metadata") or inputs)
        namespace = revealed(metadata.get("namespace"))
        if namespace and namespace not in SYSTEM_NAMESPACES and self._store.get(NAMESPACE, namespace) is None:
            raise CloudError(f'namespaces "{namespace}" not found')


def _invalid(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """What the schemas of the pinned Kubernetes refuse. Custom kinds have none here; their CRDs judge elsewhere."""
    for field in ("apiVersion", "kind"):
        if not manifest.get(field):
            return [(field, "missing required property")]
    if not cast("dict[str, Any]", manifest.get("metadata") or {}).get("name"):
        return [("metadata.name", "missing required property: name every object")]
    known = _without_unknown(manifest)
    try:
        kubernetes_validate.validate(known, KUBERNETES, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return []
    except kubernetes_validate.ValidationError as error:
        place = ".".join(str(part) for part in error.path)
        # A field that is required and unknown was taken out above: that is not the author's mistake.
        if has_unknown(manifest) and "is a required property" in error.message:
            return []
        return [(place, error.message[:300])]
    return []


def _without_unknown(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: _without_unknown(item) for key, item in items if item is not UNKNOWN}
    if isinstance(value, list):
        return [_without_unknown(item) for item in cast("list[Any]", value) if item is not UNKNOWN]
    return value


def diff_config(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The provider arguments whose change replaces the provider and with it every object of the cluster."""
    if old.get("clusterIdentifier") or new.get("clusterIdentifier"):
        return ["clusterIdentifier"] if old.get("clusterIdentifier") != new.get("clusterIdentifier") else []
    same = json.dumps(revealed(old.get("kubeconfig")), default=str) == json.dumps(
        revealed(new.get("kubeconfig")), default=str
    )
    return [] if same else ["kubeconfig"]
