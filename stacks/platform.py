"""The layers of an environment in order, and what it exports. A pure function of settings."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from infra.aws.cache import Cache
from infra.aws.cluster import Cluster
from infra.aws.database import Database
from infra.aws.keys import Keys
from infra.aws.network import Network
from infra.aws.node_provisioning import NodeProvisioning
from infra.aws.nodes import SystemNodes
from infra.aws.service_identity import ServiceIdentity
from infra.kubernetes.autoscaling import HorizontalScaling
from infra.kubernetes.namespace import ServiceNamespace
from infra.kubernetes.network_policy import NetworkPolicies
from infra.kubernetes.node_pools import Karpenter, NodePools
from infra.kubernetes.secrets import MountedSecrets
from infra.kubernetes.service import AgentService, Backends
from infra.settings import Settings


@dataclass(frozen=True)
class Foundation:
    """What the layers on AWS hand to the layers in the cluster."""

    keys: Keys
    cluster: Cluster
    nodes: SystemNodes
    provisioning: NodeProvisioning
    database: Database
    cache: Cache
    identity: ServiceIdentity


def build(settings: Settings) -> None:
    """Register every resource of the environment and its exports."""
    foundation = build_aws(settings)
    build_kubernetes(settings, foundation)
    export(settings, foundation)


def build_aws(settings: Settings) -> Foundation:
    """Keys, network, control plane, nodes, data stores, identities."""
    opts = pulumi.ResourceOptions(providers=[_aws_provider(settings), random.Provider("random")])
    keys = Keys("keys", settings, opts)
    network = Network("network", settings, keys.logs, opts)
    cluster = Cluster("cluster", settings, network, keys, opts)
    return Foundation(
        keys=keys,
        cluster=cluster,
        nodes=SystemNodes("system-nodes", settings, cluster, network, keys, opts),
        provisioning=NodeProvisioning("provisioning", settings, cluster, opts),
        database=Database("database", settings, network, cluster, keys, opts),
        cache=Cache("cache", settings, network, cluster, keys, opts),
        identity=ServiceIdentity("service-identity", settings, cluster, keys, opts),
    )


def build_kubernetes(settings: Settings, foundation: Foundation) -> None:
    """Node pools, the service's namespace, and the service when there is an image to run."""
    provider = kubernetes.Provider(
        "kubernetes",
        kubeconfig=foundation.cluster.kubeconfig,
        # Without it a changed kubeconfig replaces the provider, and with it every object.
        cluster_identifier=foundation.cluster.arn,
        opts=pulumi.ResourceOptions(depends_on=foundation.cluster.access),
    )

    def inside(*needs: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(providers=[provider], depends_on=list(needs))

    # Order matters twice: a destroy runs it backwards, workloads first, then pools, then their controller, then nodes.
    karpenter = Karpenter(
        "karpenter",
        settings,
        foundation.provisioning.queue_name,
        inside(*foundation.nodes.ready, *foundation.provisioning.ready),
    )
    pools = NodePools(
        "pools", settings, foundation.provisioning.node_role_name, foundation.keys.nodes, inside(karpenter.release)
    )
    namespace = ServiceNamespace("agent", settings, inside(*foundation.nodes.ready))
    policies = NetworkPolicies("agent-network", settings, namespace.name, inside(namespace))
    secrets = MountedSecrets(
        "agent-secrets",
        namespace.name,
        {"database-password": foundation.identity.database_secret_arn},
        inside(namespace, *foundation.nodes.ready),
    )
    if settings.service.image is None:
        return
    backends = Backends(foundation.database.address, secrets.class_name)
    service = AgentService(
        "agent-service",
        settings,
        settings.service.image,
        namespace.name,
        backends,
        inside(policies, namespace, *pools.pools, foundation.identity.association, foundation.database.instance),
    )
    HorizontalScaling("agent-scaling", settings, namespace.name, inside(service))


def export(settings: Settings, foundation: Foundation) -> None:
    """Stack outputs: addresses and names, never a secret value."""
    pulumi.export("environment", settings.environment)
    pulumi.export("clusterName", foundation.cluster.name)
    pulumi.export("clusterEndpoint", foundation.cluster.endpoint)
    pulumi.export("databaseAddress", foundation.database.address)
    pulumi.export("databaseMasterSecretArn", foundation.database.master_secret_arn)
    pulumi.export("cacheEndpoint", foundation.cache.endpoint)
    pulumi.export("namespace", settings.service.namespace)
    pulumi.export("kubeconfigCommand", f"aws eks update-kubeconfig --name {settings.name} --region {settings.region}")
    pulumi.export("next", _next_step(settings))


def _next_step(settings: Settings) -> str:
    if settings.service.image is None:
        return "No image is set: build and push one, then set service.image to repository@sha256:… and run pulumi up."
    return f"kubectl --namespace {settings.service.namespace} get pods"


def _aws_provider(settings: Settings) -> aws.Provider:
    return aws.Provider(
        "aws",
        region=settings.region,
        allowed_account_ids=[settings.account.id],
        default_tags=aws.ProviderDefaultTagsArgs(
            tags={
                "environment": settings.environment,
                "owner": settings.tags.owner,
                "service": settings.tags.service,
                "cost-center": settings.tags.cost_center,
                "managed-by": "pulumi",
            }
        ),
    )
