"""Network policies: default deny in each of our namespaces, then one policy for each end of a flow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, LabelSelectorRequirementArgs, ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import (
    IPBlockArgs,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from infra.component import Component
from infra.kubernetes.flows import Addresses, Flow, Pods, flows, guarded, pods
from infra.problems import Problem, SettingsError
from infra.settings import Settings


class NetworkPolicies(Component):
    """The policies of infra/kubernetes/flows.py. What comes from the pod's own node (kubelet) the CNI always admits.

    Produces: NetworkPolicy default-deny in each guarded namespace; for each flow a policy ``<flow>-out`` where it
    starts and ``<flow>-in`` where it ends, as far as these are pods of guarded namespaces.
    """

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions) -> None:
        open_ways = list(flows(settings))
        if found := list(selecting_nothing(open_ways, settings)):
            raise SettingsError(found)
        super().__init__(name, opts)
        namespaces = guarded(settings)
        for namespace in namespaces:
            deny = NetworkPolicySpecArgs(pod_selector=LabelSelectorArgs(), policy_types=["Ingress", "Egress"])
            self._policy(name, namespace, "default-deny", deny)
        for flow in open_ways:
            ports = [
                NetworkPolicyPortArgs(protocol=protocol, port=port)
                for port in flow.ports
                for protocol in flow.protocols
            ]
            if isinstance(flow.source, Pods) and flow.source.namespace in namespaces:
                out = NetworkPolicyEgressRuleArgs(to=_peers(flow.target), ports=ports or None)
                spec = NetworkPolicySpecArgs(pod_selector=_selector(flow.source), policy_types=["Egress"], egress=[out])
                self._policy(name, flow.source.namespace, f"{flow.name}-out", spec)
            if isinstance(flow.target, Pods) and flow.target.namespace in namespaces:
                into = NetworkPolicyIngressRuleArgs(from_=_peers(flow.source), ports=ports or None)
                spec = NetworkPolicySpecArgs(
                    pod_selector=_selector(flow.target), policy_types=["Ingress"], ingress=[into]
                )
                self._policy(name, flow.target.namespace, f"{flow.name}-in", spec)
        self.register_outputs({})

    def _policy(self, name: str, namespace: str, label: str, spec: NetworkPolicySpecArgs) -> None:
        kubernetes.networking.v1.NetworkPolicy(
            f"{name}-{namespace}-{label}",
            metadata=ObjectMetaArgs(name=label, namespace=namespace),
            spec=spec,
            opts=self.child(),
        )


def selecting_nothing(open_ways: Iterable[Flow], settings: Settings) -> Iterator[Problem]:
    """Ends of flows that no workload matches: such a policy looks like a way that is open, or shut, and is neither."""
    known = list(pods(settings))
    for flow in open_ways:
        for end in (flow.source, flow.target):
            if not isinstance(end, Pods) or end.namespace not in guarded(settings):
                continue
            here = [labels for namespace, labels in known if namespace == end.namespace and end.selects(labels)]
            for key, values in end.labels.items():
                if missing := sorted(set(values) - {labels[key] for labels in here}):
                    yield Problem(
                        f"flow {flow.name}",
                        f"{key} in {missing}",
                        f"selects no pod of namespace {end.namespace}",
                        "Correct the flow, or list the workload, in infra/kubernetes/flows.py.",
                    )


def _selector(chosen: Pods) -> LabelSelectorArgs:
    alone = {key: values[0] for key, values in chosen.labels.items() if len(values) == 1}
    several = [
        LabelSelectorRequirementArgs(key=key, operator="In", values=list(values))
        for key, values in chosen.labels.items()
        if len(values) > 1
    ]
    return LabelSelectorArgs(match_labels=alone or None, match_expressions=several or None)


def _peers(end: Pods | Addresses) -> list[NetworkPolicyPeerArgs]:
    if isinstance(end, Addresses):
        return [NetworkPolicyPeerArgs(ip_block=_block(block, end.without)) for block in end.blocks]
    home = LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": end.namespace})
    return [NetworkPolicyPeerArgs(namespace_selector=home, pod_selector=_selector(end))]


def _block(block: str, without: tuple[str, ...]) -> IPBlockArgs:
    # Kubernetes refuses an exception that is not within its block.
    within = [part for part in without if IPv4Network(part).subnet_of(IPv4Network(block))]
    return IPBlockArgs(cidr=block, except_=within or None)
