"""Settings of the platform: account, network, cluster, nodes, data stores, and who is told."""

from __future__ import annotations

import re
from datetime import date
from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import Field, field_validator

from infra.settings.model import CACHE_NODE, EMAIL, Clock, Count, Day, Endpoint, Image, Model, Retention, RoleArn

GRAFANA_PASSWORD = "grafana-admin-password"  # noqa: S105 - the name of an entry in Secrets Manager


class Account(Model):
    """The one AWS account that this environment may touch; the provider refuses any other."""

    id: Annotated[str, Field(pattern=r"^\d{12}$")]
    permission_boundary_arn: str | None = None


class Bootstrap(Model):
    """What `python -m stacks.bootstrap` made once for the account; it prints these lines."""

    github_oidc_provider_arn: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:oidc-provider/.+$")] | None = (
        None
    )
    repository_arn: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:ecr:[a-z0-9-]+:\d{12}:repository/.+$")] | None = None
    secrets_key_arn: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/.+$")] | None = None
    state_bucket_arn: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:s3:::.+$")] | None = None


class Delivery(Model):
    """Who deploys: the GitHub repository whose workflows may take our roles."""

    github_repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None


class Tags(Model):
    """Cost and ownership tags put on everything; activate them for billing once per account."""

    owner: str
    service: str = "langgraph-agents"
    cost_center: str


class Zone(Model):
    """The four subnets of one availability zone."""

    name: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d[a-z]$")]
    public: IPv4Network
    private: IPv4Network
    data: IPv4Network
    endpoints: IPv4Network


class Network(Model):
    """The VPC: one NAT gateway for all zones, or one per zone so that a zone's loss stays in that zone."""

    cidr: IPv4Network
    nat_gateways: Literal["one", "perZone"]
    zones: Annotated[tuple[Zone, ...], Field(min_length=2, max_length=4)]
    service_cidr: IPv4Network = IPv4Network("172.20.0.0/16")  # of Kubernetes' Services; fixed when the cluster is made
    interface_endpoints: tuple[Endpoint, ...] = ()
    flow_log_retention_days: Retention = 30


class Access(Model):
    """Who may use the Kubernetes API. ``deployers`` must name the role that runs ``pulumi up``: EKS makes no one else admin."""

    deployers: Annotated[tuple[RoleArn, ...], Field(min_length=1)]
    admins: tuple[RoleArn, ...] = ()
    viewers: tuple[RoleArn, ...] = ()
    break_glass: tuple[RoleArn, ...] = ()
    # In the service's namespace alone (infra/kubernetes/rbac.py):
    service_deployers: tuple[RoleArn, ...] = ()
    service_viewers: tuple[RoleArn, ...] = ()


class Cluster(Model):
    """The EKS control plane."""

    version: Annotated[str, Field(pattern=r"^1\.\d+$")]
    public_endpoint: bool
    public_access_cidrs: tuple[IPv4Network, ...] = ()
    log_retention_days: Retention = 30
    deletion_protection: bool


class SystemNodes(Model):
    """The small tainted on-demand group that runs controllers, add-ons and monitoring."""

    instance_types: Annotated[tuple[str, ...], Field(min_length=1)]
    min_size: Count
    desired_size: Count
    max_size: Count
    disk_gib: Annotated[int, Field(ge=20)] = 50


class WorkerNodes(Model):
    """What Karpenter may launch: a Spot pool over many types and an on-demand base of the same shapes."""

    instance_types: Annotated[tuple[str, ...], Field(min_length=1)]
    max_nodes: Count
    disk_gib: Annotated[int, Field(ge=20)] = 80
    max_pods: Annotated[int, Field(ge=1, le=250)] = 110


class Nodes(Model):
    """The node mix."""

    system: SystemNodes
    workers: WorkerNodes


class OffHours(Model):
    """When nodes are off: from an hour of each workday to one of the next, and on all other days."""

    time_zone: str
    off_at: Clock = Field(alias="from")
    on_at: Clock = Field(alias="to")
    workdays: Annotated[tuple[Day, ...], Field(min_length=1)] = ("monday", "tuesday", "wednesday", "thursday", "friday")


class Pooler(Model):
    """PgBouncer before the database: far fewer server connections than the service's processes open.

    Images come from the account's own registry: those of infra/versions.py, copied or pulled through; their digests stay.
    """

    image: Image | None = None
    exporter_image: Image | None = None
    replicas: Annotated[int, Field(ge=2)] = 3
    pool_size: Count = 40  # server connections of one pooler, for each user and database
    reserve_size: Annotated[int, Field(ge=0)] = 10  # more of them, when a client has waited
    max_client_connections: Count = 5000


class Database(Model):
    """RDS PostgreSQL, the source of truth for runs and checkpoints."""

    instance_class: Annotated[str, Field(pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")]
    storage_gib: Annotated[int, Field(ge=20)]
    max_storage_gib: Count
    multi_az: bool
    deletion_protection: bool
    backup_retention_days: Annotated[int, Field(ge=1, le=35)]
    pool_size: Count  # connections that one service process opens
    upgrade_major: bool = False  # for the one update that raises the major: docs/operations/upgrades.md
    reserved_connections: Count = 20  # Jobs, exporter, people with psql
    pooler: Pooler | None = None


class LruCache(Model):
    """A group for what may be computed again: full, it evicts what was used least recently."""

    node_type: Annotated[str, Field(pattern=CACHE_NODE)]
    replicas: Annotated[int, Field(ge=0, le=5)] = 0


class Cache(Model):
    """ElastiCache for Valkey: wakes workers, streams and caches; may be lost without losing a run.

    Without ``lru`` one group serves streams and cache: it never evicts, so a full one refuses writes of both.
    """

    node_type: Annotated[str, Field(pattern=CACHE_NODE)]
    replicas: Annotated[int, Field(ge=0, le=5)]
    multi_az: bool
    snapshot_retention_days: Annotated[int, Field(ge=0, le=35)]
    lru: LruCache | None = None


class Secrets(Model):
    """Entries that people fill, and which of them the service mounts. One without a value must not be mounted."""

    entries: tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9/-]*$")], ...] = (
        "jwt-signing-key",
        GRAFANA_PASSWORD,
    )
    mounted: tuple[str, ...] = ()


class Ingress(Model):
    """The service's public name. Without one, dev is reached inside the VPC or by a port-forward, and prod is refused."""

    host: Annotated[str, Field(pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$")] | None = None
    zone_id: Annotated[str, Field(pattern=r"^Z[A-Z0-9]+$")] | None = None


class Alerts(Model):
    """Who is told."""

    emails: tuple[Annotated[str, Field(pattern=EMAIL)], ...] = ()


class Monitoring(Model):
    """Prometheus and Alertmanager always run. Grafana waits for its admin's password: set it first, then this."""

    grafana: bool = False


class Budget(Model):
    """What the environment may cost."""

    monthly_usd: Count


# As CreatePullThroughCacheRule's reference writes them. The last two let nobody in without credentials.
PUBLIC_REGISTRIES = {
    "public.ecr.aws": "public.ecr.aws",
    "quay.io": "quay.io",
    "registry.k8s.io": "registry.k8s.io",
    "docker.io": "registry-1.docker.io",
    "ghcr.io": "ghcr.io",
}
PublicRegistry = Literal["public.ecr.aws", "quay.io", "registry.k8s.io", "docker.io", "ghcr.io"]
WITH_CREDENTIALS = ("docker.io", "ghcr.io")


class Registry(Model):
    """Public registries whose images nodes pull through the account's own, below the environment's name."""

    pull_through: tuple[PublicRegistry, ...] = ("public.ecr.aws", "quay.io", "registry.k8s.io")
    # The entry in Secrets Manager; AWS looks for it under this name only.
    credentials: dict[
        PublicRegistry,
        Annotated[
            str, Field(pattern=r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:ecr-pullthroughcache/.+$")
        ],
    ] = Field(default_factory=dict[PublicRegistry, str])


class Backup(Model):
    """AWS Backup beyond RDS's own snapshots."""

    enabled: bool
    copy_region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] = "us-west-2"


class Support(Model):
    """Until when every pinned version must have standard support. The program reads no clock: people move this date.

    ``python -m stacks.check`` warns when it comes near.
    """

    through: date

    @field_validator("through", mode="before")
    @classmethod
    def _from_yaml(cls, value: object) -> object:
        # The engine hands a date over as text, and one without quotes with this tail.
        text = str(value).removesuffix(" 00:00:00 +0000 UTC")
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else value
