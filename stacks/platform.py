"""The layers of an environment in order, and what it exports. A pure function of settings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from infra.aws.alarms import Alarms, AlertTopic
from infra.aws.backup import Backup
from infra.aws.budget import MonthlyBudget
from infra.aws.cache import Cache, groups
from infra.aws.cluster import Cluster
from infra.aws.database import Database
from infra.aws.delivery import DeliveryRoles
from infra.aws.edge import Edge
from infra.aws.heartbeat import Heartbeat, Topics
from infra.aws.keys import Keys
from infra.aws.load_balancer import LoadBalancer
from infra.aws.logs import log_group
from infra.aws.network import Network
from infra.aws.node_provisioning import NodeProvisioning
from infra.aws.nodes import SystemNodes
from infra.aws.off_hours import NodeHours
from infra.aws.registry import PullThrough
from infra.aws.secrets import POOLER_USERS, Secrets
from infra.aws.storage import Storage
from infra.aws.workloads import WorkloadRoles
from infra.kubernetes import pods
from infra.kubernetes.admission import AdmissionPolicies
from infra.kubernetes.autoscalers import MetricsAdapter, VerticalAutoscaler
from infra.kubernetes.autoscaling import Scaling
from infra.kubernetes.canary import RolloutController
from infra.kubernetes.jobs import DatabaseJobs, Stores
from infra.kubernetes.labels import MONITORING
from infra.kubernetes.load_balancer_controller import LoadBalancerController, ServiceTargets
from infra.kubernetes.log_shipper import LogShipper
from infra.kubernetes.monitoring import Monitoring
from infra.kubernetes.namespace import DATABASE_INIT, MIGRATE, PGBOUNCER, PlatformNamespaces, ServiceNamespace
from infra.kubernetes.network_policy import NetworkPolicies
from infra.kubernetes.node_pools import Karpenter, NodePools
from infra.kubernetes.off_hours import ServiceHours
from infra.kubernetes.pooler import Pooler, pooled_url
from infra.kubernetes.quotas import Quotas
from infra.kubernetes.rbac import NamespaceAccess
from infra.kubernetes.secrets import MountedSecrets
from infra.kubernetes.service import Api, Backends, Priorities, Workers
from infra.kubernetes.trace_collector import TraceCollector
from infra.settings import Settings
from infra.settings.platform import GRAFANA_PASSWORD
from stacks.billing import Record


@dataclass(frozen=True)
class Foundation:
    """What the layers on AWS hand to the layers in the cluster."""

    keys: Keys
    network: Network
    cluster: Cluster
    nodes: SystemNodes
    provisioning: NodeProvisioning
    database: Database
    caches: list[Cache]  # for streams first; the last one is for what may be evicted, where there are two
    secrets: Secrets
    storage: Storage
    workloads: WorkloadRoles
    pod_logs: aws.cloudwatch.LogGroup
    alerts: AlertTopic
    topics: Topics
    load_balancer: LoadBalancer
    delivery: DeliveryRoles | None


def build(settings: Settings) -> None:
    """Register every resource of the environment and its exports."""
    billing = Record()
    foundation = build_aws(settings)
    build_kubernetes(settings, foundation)
    export(settings, foundation)
    pulumi.export("billing", billing.output(settings.environment))


def build_aws(settings: Settings) -> Foundation:
    """Keys, network, control plane, nodes, data stores, identities, backups, alarms."""
    opts = pulumi.ResourceOptions(providers=[_aws_provider("aws", settings), random.Provider("random")])
    keys = Keys("keys", settings, opts)
    network = Network("network", settings, keys.logs, opts)
    cluster = Cluster("cluster", settings, network, keys, opts)
    database = Database("database", settings, network, cluster, keys, opts)
    caches = [Cache(settings, group, network, cluster, keys, opts) for group in groups(settings)]
    storage = Storage("storage", settings, keys, opts)
    secrets = Secrets("secrets", settings, keys, opts)
    pods = f"/{settings.name}/pods"
    pod_logs = log_group("pod-logs", pods, settings, keys.logs, settings.cluster.log_retention_days, opts)
    alerts = AlertTopic("alerts", settings, keys, opts)
    heartbeat = Heartbeat("heartbeat", settings, keys, alerts.arn, opts)
    topics = Topics(alerts.arn, heartbeat.arn, keys.alerts)
    balancer = LoadBalancer(
        "load-balancer", settings, network, cluster, storage.access_logs, _edge(settings, keys, opts), opts
    )
    _oversight(settings, keys, database, balancer, alerts, opts)
    # Before nodes, which pull through it as long as they are there.
    registry = PullThrough("registry", settings, opts)
    after_registry = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[registry]))
    nodes = SystemNodes("system-nodes", settings, cluster, network, keys, after_registry)
    if settings.off_hours:
        NodeHours("system-nodes", settings, settings.off_hours, nodes.group, opts)
    return Foundation(
        keys=keys,
        network=network,
        cluster=cluster,
        nodes=nodes,
        provisioning=NodeProvisioning("provisioning", settings, cluster, opts),
        database=database,
        caches=caches,
        secrets=secrets,
        storage=storage,
        workloads=WorkloadRoles(
            "workloads", settings, cluster, database, caches, storage, secrets, balancer, topics, opts
        ),
        pod_logs=pod_logs,
        alerts=alerts,
        topics=topics,
        load_balancer=balancer,
        delivery=_delivery(settings, cluster, opts),
    )


def _oversight(
    settings: Settings,
    keys: Keys,
    database: Database,
    load_balancer: LoadBalancer,
    alerts: AlertTopic,
    opts: pulumi.ResourceOptions,
) -> None:
    MonthlyBudget("budget", settings, alerts.arn, opts)
    Alarms("alarms", settings, load_balancer, alerts.arn, opts)
    if settings.backup.enabled:
        away = _aws_provider("aws-copy", settings, settings.backup.copy_region)
        Backup("backup", settings, keys, database.instance.arn, database.subnet_group, away, alerts.arn, opts)


def _edge(settings: Settings, keys: Keys, opts: pulumi.ResourceOptions) -> Edge | None:
    ingress = settings.ingress
    if ingress.host is None or ingress.zone_id is None:
        return None
    return Edge("edge", settings, ingress.host, ingress.zone_id, keys, opts)


def _delivery(settings: Settings, cluster: Cluster, opts: pulumi.ResourceOptions) -> DeliveryRoles | None:
    repository, provider = settings.delivery.github_repository, settings.bootstrap.github_oidc_provider_arn
    if repository is None or provider is None:
        return None
    return DeliveryRoles("delivery", settings, repository, provider, cluster.name, opts)


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

    def part_of_cluster(*needs: pulumi.Resource) -> pulumi.ResourceOptions:
        """For objects that own nothing outside the cluster: a destroy drops them with it, without a call each.

        Not for workloads, which must end before their nodes, nor for pools and releases, which own instances.
        """
        with_cluster = pulumi.ResourceOptions(deleted_with=foundation.cluster.resource)
        return pulumi.ResourceOptions.merge(inside(*needs), with_cluster)

    # Order matters twice: a destroy runs it backwards, workloads and their targets first, then pools, controllers, nodes.
    karpenter = Karpenter(
        "karpenter",
        settings,
        foundation.provisioning.queue_name,
        inside(*foundation.nodes.ready, *foundation.provisioning.ready),
    )
    pools = NodePools(
        "pools", settings, foundation.provisioning.node_role_name, foundation.keys.nodes, inside(karpenter.release)
    )
    controller = LoadBalancerController(
        "load-balancer-controller",
        settings,
        foundation.network.vpc_id,
        inside(*foundation.nodes.ready, foundation.workloads.roles["load-balancer-controller"].association),
    )
    namespace = ServiceNamespace("agent", settings, part_of_cluster(*foundation.nodes.ready))
    # By calls of its own: with monitoring's namespace go its claims, and with them disks that the cluster would leave.
    platform = PlatformNamespaces("platform", settings, inside(*foundation.nodes.ready))
    ships = foundation.workloads.roles["log-shipper"].association
    LogShipper("log-shipper", settings, foundation.pod_logs.name, inside(platform, ships, foundation.pod_logs))
    traces = foundation.workloads.roles["trace-collector"].association
    TraceCollector("trace-collector", settings, inside(platform, traces))
    monitoring = _monitoring(settings, foundation, inside(platform))
    adapter = MetricsAdapter("metrics-adapter", settings, inside(monitoring.release))
    scaled_by: list[pulumi.Resource] = [adapter.release]
    if settings.service.vertical:
        scaled_by.append(VerticalAutoscaler("vertical-autoscaler", settings, inside(*foundation.nodes.ready)).release)
    rolled_out_by = [RolloutController("rollouts", settings, inside(platform)).release] if settings.canary else []
    NamespaceAccess("agent-access", settings, namespace.name, part_of_cluster(namespace))
    quotas = Quotas("agent-quotas", settings, namespace.name, part_of_cluster(namespace))
    admission = AdmissionPolicies("admission", settings, part_of_cluster(*foundation.nodes.ready))
    policies = NetworkPolicies("network-policies", settings, part_of_cluster(namespace, platform))
    secrets = MountedSecrets(
        "agent-secrets",
        namespace.name,
        {
            "database-password": foundation.secrets.arns["database/agent_app"],
            **{name.replace("/", "-"): foundation.secrets.arns[name] for name in settings.secrets.mounted},
        },
        part_of_cluster(namespace, *foundation.nodes.ready),
    )
    if settings.service.image is None:
        return
    targets = ServiceTargets(
        "agent-targets",
        namespace.name,
        foundation.load_balancer.target_group_arn,
        inside(namespace, controller.release, *pools.pools, *foundation.load_balancer.ready),
    )
    roles, database = foundation.workloads.roles, foundation.database
    needs = [policies, admission, quotas, namespace, database.instance]
    of_migrate: dict[str, pulumi.Input[str]] = {"database-password": foundation.secrets.arns["database/agent_migrate"]}
    migrate = MountedSecrets(MIGRATE, namespace.name, of_migrate, part_of_cluster(namespace, *foundation.nodes.ready))
    jobs = DatabaseJobs(
        "database-jobs",
        settings,
        settings.service.image,
        namespace.name,
        Stores(database.address, database.master_secret_arn, foundation.secrets.arns, migrate.class_name),
        part_of_cluster(
            *needs, migrate, *foundation.nodes.ready, *(roles[job].association for job in (DATABASE_INIT, MIGRATE))
        ),
    )
    direct = pods.database_url("agent_app", database.address)
    backends = Backends(direct, None, foundation.caches[0].url, secrets.class_name)
    needs += [Priorities("agent-priority", part_of_cluster()), jobs]
    if settings.database.pooler:
        users = foundation.secrets.arns[POOLER_USERS]
        after = inside(*needs, roles[PGBOUNCER].association)
        cluster = foundation.cluster.resource
        needs += [Pooler("pooler", settings, namespace.name, database.address, users, cluster, after)]
        backends = replace(backends, database_url=pooled_url(settings), direct_url=direct)
    needs += [*pools.pools, roles["service"].association]
    image = settings.service.image
    workers = Workers("agent-workers", settings, image, namespace.name, backends, inside(*needs))
    api = Api("agent-api", settings, image, namespace.name, backends, inside(targets, *rolled_out_by, *needs))
    Scaling("agent-api-scaling", settings, "api", api.target, namespace.name, part_of_cluster(api, *scaled_by))
    Scaling(
        "agent-workers-scaling",
        settings,
        "workers",
        workers.target,
        namespace.name,
        part_of_cluster(workers, *scaled_by),
    )
    if settings.off_hours:
        ServiceHours("off-hours", settings, settings.off_hours, namespace.name, part_of_cluster(policies, workers, api))


def _monitoring(settings: Settings, foundation: Foundation, opts: pulumi.ResourceOptions) -> Monitoring:
    needs: list[pulumi.Resource] = [foundation.workloads.roles["alertmanager"].association]
    if settings.monitoring.grafana:
        password: dict[str, pulumi.Input[str]] = {GRAFANA_PASSWORD: foundation.secrets.arns[GRAFANA_PASSWORD]}
        needs += [
            MountedSecrets("grafana", MONITORING, password, opts),
            foundation.workloads.roles["grafana"].association,
        ]
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=needs))
    return Monitoring("monitoring", settings, foundation.topics, foundation.cluster.resource, after)


def export(settings: Settings, foundation: Foundation) -> None:
    """Stack outputs: addresses and names, never a secret value."""
    pulumi.export("environment", settings.environment)
    pulumi.export("clusterName", foundation.cluster.name)
    pulumi.export("clusterEndpoint", foundation.cluster.endpoint)
    pulumi.export("databaseAddress", foundation.database.address)
    pulumi.export("databaseMasterSecretArn", foundation.database.master_secret_arn)
    pulumi.export("streamsUrl", foundation.caches[0].url)
    pulumi.export("cacheUrl", foundation.caches[-1].url)
    pulumi.export("alertTopicArn", foundation.alerts.arn)
    pulumi.export("artefactBucket", foundation.storage.artefacts.bucket_name)
    if foundation.delivery:
        pulumi.export("previewRoleArn", foundation.delivery.preview_arn)
        pulumi.export("deployRoleArn", foundation.delivery.deploy_arn)
    pulumi.export("serviceUrl", foundation.load_balancer.url)
    forward = f"kubectl --namespace {settings.service.namespace} port-forward service/agent 8000:8000"
    pulumi.export("portForward", forward)
    pulumi.export("namespace", settings.service.namespace)
    pulumi.export("kubeconfigCommand", f"aws eks update-kubeconfig --name {settings.name} --region {settings.region}")
    pulumi.export("next", _next_step(settings))


def _next_step(settings: Settings) -> str:
    if settings.service.image is None:
        stack = settings.environment
        return f"service.image is not set: run make image STACK={stack}, then pulumi up --stack {stack}."
    return f"kubectl --namespace {settings.service.namespace} get pods"


def _aws_provider(name: str, settings: Settings, region: str | None = None) -> aws.Provider:
    return aws.Provider(
        name,
        region=region or settings.region,
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
