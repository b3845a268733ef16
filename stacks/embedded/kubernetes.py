"""The kubernetes stand-in: objects checked against the schemas of the pinned version, kept in the embedded cloud.

The seam for a real API server is Cloud: another one under CLOUDS["kubernetes"] keeps the objects there instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, cast

import yaml

from stacks.embedded.cloud import Change, CloudError, differing, under
from stacks.embedded.kubernetes_schemas import problems
from stacks.embedded.outputs import created
from stacks.embedded.store import Store, Stored
from stacks.wire import revealed

RELEASE = "kubernetes:helm.sh/v3:Release"
NAMESPACE = "kubernetes:core/v1:Namespace"
CLUSTER = "aws:eks/cluster:Cluster"
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
        if not isinstance(kubeconfig, str) or not kubeconfig:
            return  # not known yet; without one, nothing is reachable
        try:
            self._server = str(yaml.safe_load(kubeconfig)["clusters"][0]["cluster"]["server"])
        except (yaml.YAMLError, LookupError, TypeError):
            # Its text may hold a token: it is not shown.
            raise CloudError("kubeconfig: must be YAML with clusters[0].cluster.server") from None

    def check(
        self, type_: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], seed: bytes
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        del urn, old, seed
        if type_ == RELEASE:
            return dict(new), [] if new.get("chart") else [("chart", "missing required property")]
        return dict(new), list(problems(dict(new)))

    def diff(self, type_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
        fixed = ("name", "namespace") if type_ == RELEASE else (*ALWAYS, *IMMUTABLE.get(str(new.get("kind")), ()))
        differences = tuple(differing(revealed(dict(old)), revealed(dict(new))))
        replacing = frozenset(found.path for found in differences if under(found.path, fixed))
        moved = {"metadata.name", "metadata.namespace", "name", "namespace"} & replacing
        return Change(differences, replacing, bool(replacing) and not moved)

    def create(self, type_: str, urn: str, inputs: Mapping[str, Any], *, preview: bool) -> tuple[str, dict[str, Any]]:
        if preview:
            return "", dict(inputs)
        self._require_cluster()
        self._require_namespace(inputs)
        known = revealed(dict(inputs))
        identifier, computed = created(type_, "", urn, known, "", self._store.next_generation(urn))
        outputs = {**inputs, **computed}
        if not self._store.insert(Stored(type_, identifier, urn, known, revealed(outputs), self._server)):
            raise CloudError(f'{type_.rsplit(":", 1)[-1].lower()} "{identifier}" already exists')
        return identifier, outputs

    def read(self, type_: str, identifier: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        row = self._store.get(type_, identifier, self._server)
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
            self._require_cluster()
            if isinstance(outputs.get("metadata"), dict):
                outputs["metadata"]["resourceVersion"] = str(int(outputs["metadata"]["resourceVersion"]) + 1)
            row = Stored(type_, identifier, urn, revealed(dict(new)), revealed(outputs), self._server)
            if not self._store.put(row):
                raise CloudError(f'{type_.rsplit(":", 1)[-1].lower()} "{identifier}" not found')
        return outputs

    def delete(self, type_: str, identifier: str) -> None:
        self._require_cluster()
        row = self._store.get(type_, identifier, self._server)
        if row is None:
            return
        self._store.remove(row)
        if type_ == NAMESPACE:  # its content goes with it
            for inside in self._store.all():
                if inside.place == self._server and inside.id.startswith(f"{identifier}/"):
                    self._store.remove(inside)

    def _require_cluster(self) -> None:
        if all(row.value("endpoint") != self._server for row in self._store.all(CLUSTER)):
            answer = f"no cluster answers at {self._server}" if self._server else "the provider has no kubeconfig"
            raise CloudError(f"configured Kubernetes cluster is unreachable: {answer}")

    def _require_namespace(self, inputs: Mapping[str, Any]) -> None:
        metadata = cast("dict[str, Any]", inputs.get("metadata") or inputs)
        namespace = revealed(metadata.get("namespace"))
        if not namespace or namespace in SYSTEM_NAMESPACES:
            return
        if self._store.get(NAMESPACE, namespace, self._server) is None:
            raise CloudError(f'namespaces "{namespace}" not found')


def diff_config(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The provider arguments whose change replaces the provider and with it every object of the cluster."""
    if old.get("clusterIdentifier") or new.get("clusterIdentifier"):
        return ["clusterIdentifier"] if old.get("clusterIdentifier") != new.get("clusterIdentifier") else []
    same = json.dumps(revealed(old.get("kubeconfig")), default=str) == json.dumps(
        revealed(new.get("kubeconfig")), default=str
    )
    return [] if same else ["kubeconfig"]
