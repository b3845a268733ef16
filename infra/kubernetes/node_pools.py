"""Karpenter and what it may launch: an on-demand base and a Spot pool over many types."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.helm.v3 import Release
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.aws import node_provisioning
from infra.aws.nodes import node_tags
from infra.component import Component
from infra.kubernetes.charts import release, requests_of
from infra.node_mix import DOMAINS, SPREAD_LABEL, node_limits
from infra.settings import Settings
from infra.system_pods import system_pod
from infra.versions import NODE_IMAGE

# pulumi-kubernetes gives up after 5 minutes; a pool is gone when its nodes are, 15 minutes at most each.
DRAIN = pulumi.CustomTimeouts(delete="40m")


class Karpenter(Component):
    """The controller, from its pinned charts; CRDs in a Release of their own because Helm never upgrades them.

    Produces: Release karpenter-crd, Release karpenter.
    """

    release: Release

    def __init__(
        self, name: str, settings: Settings, queue_name: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, opts)
        pod = system_pod(settings.environment, "karpenter")
        home = node_provisioning.NAMESPACE
        values = {
            "settings": {"clusterName": settings.name, "interruptionQueue": queue_name},
            "serviceAccount": {"name": node_provisioning.SERVICE_ACCOUNT},
            "replicas": pod.replicas,
            # The limit of karpenter.sh's getting started guide.
            "controller": {"resources": {**requests_of(pod), "limits": {"memory": "1Gi"}}},
        }
        crds = release(settings, "karpenter-crd", home, {}, self.child(), skip_crds=True)
        self.release = release(settings, "karpenter", home, values, self.child(depends_on=[crds]), skip_crds=True)
        self.register_outputs({})


class NodePools(Component):
    """The pools. Their finalizers need the controller, so they depend on it and go before it.

    Produces: EC2NodeClass, NodePool on-demand, NodePool spot.
    """

    pools: list[pulumi.Resource]

    def __init__(
        self,
        name: str,
        settings: Settings,
        node_role_name: pulumi.Input[str],
        disk_key: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        node_class = kubernetes.apiextensions.CustomResource(
            f"{name}-class",
            api_version="karpenter.k8s.aws/v1",
            kind="EC2NodeClass",
            metadata=ObjectMetaArgs(name="workers"),
            spec=_node_class(settings, node_role_name, disk_key),
            opts=self.child(custom_timeouts=DRAIN),
        )
        self.pools = [
            kubernetes.apiextensions.CustomResource(
                f"{name}-{capacity}",
                api_version="karpenter.sh/v1",
                kind="NodePool",
                metadata=ObjectMetaArgs(name=capacity),
                spec=_node_pool(settings, capacity),
                opts=self.child(depends_on=[node_class], custom_timeouts=DRAIN),
            )
            for capacity in DOMAINS
        ]
        self.register_outputs({})


def _node_class(settings: Settings, role: pulumi.Input[str], disk_key: pulumi.Input[str]) -> dict[str, Any]:
    workers = settings.nodes.workers
    ours = [{"tags": {"karpenter.sh/discovery": settings.name}}]
    return {
        "role": role,
        "amiSelectorTerms": [{"alias": f"{NODE_IMAGE.name}@{NODE_IMAGE.version}"}],
        "subnetSelectorTerms": ours,
        "securityGroupSelectorTerms": ours,
        "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
        "blockDeviceMappings": [
            {
                "deviceName": "/dev/xvda",
                "ebs": {
                    "volumeSize": f"{workers.disk_gib}Gi",
                    "volumeType": "gp3",
                    "encrypted": True,
                    "kmsKeyID": disk_key,
                    "deleteOnTermination": True,
                },
            }
        ],
        # With prefix delegation; else Karpenter counts the ENI limit, 58 on a 2xlarge.
        "kubelet": {"maxPods": workers.max_pods},
        "tags": node_tags(settings, "worker"),
    }


def _node_pool(settings: Settings, capacity: str) -> dict[str, Any]:
    workers = settings.nodes.workers

    def one_of(key: str, values: list[str]) -> dict[str, Any]:
        return {"key": key, "operator": "In", "values": values}

    return {
        "template": {
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "workers"},
                "requirements": [
                    one_of("karpenter.sh/capacity-type", [capacity]),
                    one_of("kubernetes.io/arch", ["amd64"]),
                    one_of("node.kubernetes.io/instance-type", sorted(workers.instance_types)),
                    one_of(SPREAD_LABEL, DOMAINS[capacity]),
                ],
                "expireAfter": "336h",  # two weeks: a node older than its patches is a finding
                "terminationGracePeriod": "15m",
            }
        },
        "disruption": {
            "consolidationPolicy": "WhenEmptyOrUnderutilized",
            "consolidateAfter": "5m",
            "budgets": [{"nodes": "10%"}],
        },
        # Both pools together stay within maxNodes: the on-demand one gets its quarter, the Spot one the rest.
        "limits": {"nodes": str(node_limits(workers.max_nodes)[capacity])},
    }
