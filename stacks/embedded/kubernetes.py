"""The kubernetes stand-in: objects checked against the schemas of the pinned version, kept in the embedded cloud.

The seam for a real API server is Cloud: tests/cluster puts another one in the place of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, cast

import yaml

from stacks.embedded.cloud import Change, Cloud, CloudError, differing, under
from stacks.embedded.outputs import created
from stacks.embedded.store import Stored
from stacks.kubernetes_schemas import problems
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


class Kubernetes(Cloud):
    """The objects of one cluster, which must exist in the embedded AWS as long as its objects do."""

    version = version("pulumi-kubernetes")

    def configure(self, arguments: Mapping[str, Any]) -> None:
        kubeconfig = revealed(arguments.get("kubeconfig"))
        if not isinstance(kubeconfig, str) or not kubeconfig:
            return  # not known yet; without one, nothing is reachable
        try:
            self.place = str(yaml.safe_load(kubeconfig)["clusters"][0]["cluster"]["server"])
        except (yaml.YAMLError, LookupError, TypeError):
            # Its text may hold a token: it is not shown.
            raise CloudError("kubeconfig: must be YAML with clusters[0].cluster.server") from None

    def check(
        self, type_: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], seed: bytes
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
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
        identifier, computed = created(type_, "", urn, revealed(dict(inputs)), "", self.store.next_generation(urn))
        outputs = {**inputs, **computed}
        if not self.store.insert(self.keep(type_, identifier, urn, inputs, outputs)):
            raise CloudError(f'{type_.rsplit(":", 1)[-1].lower()} "{identifier}" already exists')
        return identifier, outputs

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
            if not self.store.put(self.keep(type_, identifier, urn, new, outputs)):
                raise CloudError(f'{type_.rsplit(":", 1)[-1].lower()} "{identifier}" not found')
        return outputs

    def delete(self, type_: str, identifier: str) -> None:
        self._require_cluster()
        super().delete(type_, identifier)

    def delete_stored(self, row: Stored) -> None:
        self.store.remove(row)
        if row.type == NAMESPACE:  # its content goes with it
            for inside in self.store.all():
                if inside.place == self.place and inside.id.startswith(f"{row.id}/"):
                    self.store.remove(inside)

    def _require_cluster(self) -> None:
        if all(row.value("endpoint") != self.place for row in self.store.all(CLUSTER)):
            answer = f"no cluster answers at {self.place}" if self.place else "the provider has no kubeconfig"
            raise CloudError(f"configured Kubernetes cluster is unreachable: {answer}")

    def _require_namespace(self, inputs: Mapping[str, Any]) -> None:
        metadata = cast("dict[str, Any]", inputs.get("metadata") or inputs)
        namespace = revealed(metadata.get("namespace"))
        if not namespace or namespace in SYSTEM_NAMESPACES:
            return
        if self.store.get(NAMESPACE, namespace, self.place) is None:
            raise CloudError(f'namespaces "{namespace}" not found')


def diff_config(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The provider arguments whose change replaces the provider and with it every object of the cluster."""
    deciding = "clusterIdentifier" if old.get("clusterIdentifier") or new.get("clusterIdentifier") else "kubeconfig"
    return [deciding] if revealed(old.get(deciding)) != revealed(new.get(deciding)) else []
