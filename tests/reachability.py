"""Whether one end may talk to another, by the network policies of a captured graph alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

from stacks.graph import Graph

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"


@dataclass(frozen=True)
class Pod:
    """A pod of a namespace; what counts of it is its labels."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Host:
    """An address that is no pod's."""

    address: str


End = Pod | Host


@dataclass(frozen=True)
class NetworkPolicies:
    """Kubernetes' semantics: what no policy selects is open; what one selects is open by the rules of all that do."""

    specs: tuple[tuple[str, Mapping[str, Any]], ...]  # namespace and spec

    @classmethod
    def of(cls, graph: Graph) -> NetworkPolicies:
        return cls(tuple((row.inputs["metadata"]["namespace"], row.inputs["spec"]) for row in graph.of_type(POLICY)))

    def allow(self, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
        """Whether a connection is let out at its source and in at its target."""
        out = self._open(source, "Egress", "egress", "to", target, port, protocol)
        return out and self._open(target, "Ingress", "ingress", "from", source, port, protocol)

    def _open(self, here: End, type_: str, key: str, side: str, there: End, port: int, protocol: str) -> bool:
        if isinstance(here, Host):
            return True
        selecting = [
            spec
            for namespace, spec in self.specs
            if namespace == here.namespace
            and type_ in spec["policyTypes"]
            and _selected(spec["podSelector"], here.labels)
        ]
        rules: Iterable[Mapping[str, Any]] = (rule for spec in selecting for rule in spec.get(key, []))
        return not selecting or any(
            _port(rule.get("ports"), port, protocol) and any(_peer(peer, there) for peer in rule[side])
            for rule in rules
        )


def _port(rows: list[Mapping[str, Any]] | None, port: int, protocol: str) -> bool:
    return not rows or any((row["port"], row["protocol"]) == (port, protocol) for row in rows)


def _peer(peer: Mapping[str, Any], end: End) -> bool:
    block = peer.get("ipBlock")
    if block is not None:
        if isinstance(end, Pod):
            return False
        address = IPv4Network(end.address)
        holes = block.get("except", [])
        return address.subnet_of(IPv4Network(block["cidr"])) and not any(
            address.subnet_of(IPv4Network(hole)) for hole in holes
        )
    if isinstance(end, Host):
        return False
    name = {"kubernetes.io/metadata.name": end.namespace}
    return _selected(peer["namespaceSelector"], name) and _selected(peer["podSelector"], end.labels)


def _selected(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        row["operator"] == "In" and labels.get(row["key"]) in row["values"]
        for row in selector.get("matchExpressions", [])
    )
