"""Who may talk to whom in the service's namespace: nothing, but for this list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.networking.v1 import (
    IPBlockArgs,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from app.contract import PORT
from infra.aws import cache, database
from infra.component import Component
from infra.kubernetes.labels import SERVICE_LABELS
from infra.settings import Settings

# RFC 1918, carrier-grade NAT and link-local: an agent that may call the internet may not call our networks by it.
PRIVATE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
POD_IDENTITY_AGENT = "169.254.170.23/32"  # docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html


class NetworkPolicies(Component):
    """Default deny, then one policy per way that the service needs. Kubelet traffic is always allowed by the CNI.

    Produces: NetworkPolicy default-deny, load-balancer (the only way in), dns, database, cache, internet-https,
    pod-identity, and aws-endpoints where the VPC has interface endpoints (their names resolve to private addresses,
    which internet-https excludes).
    """

    def __init__(
        self, name: str, settings: Settings, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, opts)
        everything = kubernetes.meta.v1.LabelSelectorArgs()
        service = kubernetes.meta.v1.LabelSelectorArgs(match_labels=SERVICE_LABELS)
        deny = NetworkPolicySpecArgs(pod_selector=everything, policy_types=["Ingress", "Egress"])
        self._policy(name, "default-deny", namespace, deny)
        way_in = NetworkPolicySpecArgs(
            pod_selector=service, policy_types=["Ingress"], ingress=[_from_load_balancer(settings)]
        )
        self._policy(name, "load-balancer", namespace, way_in)
        for label, rule in _ways_out(settings):
            selector = everything if label == "dns" else service
            spec = NetworkPolicySpecArgs(pod_selector=selector, policy_types=["Egress"], egress=[rule])
            self._policy(name, label, namespace, spec)
        self.register_outputs({})

    def _policy(self, name: str, label: str, namespace: pulumi.Input[str], spec: NetworkPolicySpecArgs) -> None:
        kubernetes.networking.v1.NetworkPolicy(
            f"{name}-{label}",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=label, namespace=namespace),
            spec=spec,
            opts=self.child(),
        )


def _from_load_balancer(settings: Settings) -> NetworkPolicyIngressRuleArgs:
    """By subnet: a load balancer's addresses change. No pod of ours has an address in these."""
    zones = settings.network.zones
    blocks = [str(zone.public if settings.ingress.host else zone.endpoints) for zone in zones]
    return NetworkPolicyIngressRuleArgs(
        from_=[NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=block)) for block in blocks],
        ports=[NetworkPolicyPortArgs(protocol="TCP", port=PORT)],
    )


def _ways_out(settings: Settings) -> Iterator[tuple[str, NetworkPolicyEgressRuleArgs]]:
    zones = settings.network.zones
    # By subnet, not by address: a failover moves the address.
    data = [str(zone.data) for zone in zones]
    yield "dns", _to_dns()
    yield "database", _to_blocks(data, database.PORT)
    yield "cache", _to_blocks(data, cache.PORT)
    yield "internet-https", _to_blocks(["0.0.0.0/0"], 443, PRIVATE_RANGES)
    yield "pod-identity", _to_blocks([POD_IDENTITY_AGENT], 80)
    if settings.network.interface_endpoints:
        yield "aws-endpoints", _to_blocks([str(zone.endpoints) for zone in zones], 443)


def _to_dns() -> NetworkPolicyEgressRuleArgs:
    cluster_dns = NetworkPolicyPeerArgs(
        namespace_selector=kubernetes.meta.v1.LabelSelectorArgs(
            match_labels={"kubernetes.io/metadata.name": "kube-system"}
        ),
        pod_selector=kubernetes.meta.v1.LabelSelectorArgs(match_labels={"k8s-app": "kube-dns"}),
    )
    # TCP too: an answer over 512 bytes is asked again by TCP.
    ports = [NetworkPolicyPortArgs(protocol=protocol, port=53) for protocol in ("UDP", "TCP")]
    return NetworkPolicyEgressRuleArgs(to=[cluster_dns], ports=ports)


def _to_blocks(blocks: Sequence[str], port: int, without: Sequence[str] = ()) -> NetworkPolicyEgressRuleArgs:
    peers = [NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=block, except_=list(without) or None)) for block in blocks]
    return NetworkPolicyEgressRuleArgs(to=peers, ports=[NetworkPolicyPortArgs(protocol="TCP", port=port)])
