"""The one typed, frozen description of an environment, read from the stack's configuration.

Every key of Pulumi.<env>.yaml is a field here and every field can be set there; keys are written in camelCase.
Rules that need more than one field live in infra/rules.py and infra/capacity_rules.py. Nothing here reads a clock, a file or the network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from infra.problems import Problem, SettingsError, from_validation
from infra.quantities import CPU_PATTERN, MEMORY_PATTERN

PROJECT = "langgraph-eks"

Cpu = Annotated[str, Field(pattern=CPU_PATTERN)]
Memory = Annotated[str, Field(pattern=MEMORY_PATTERN)]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$")]
Count = Annotated[int, Field(ge=1)]
CACHE_NODE = r"^cache\.[a-z0-9]+\.[a-z0-9]+$"
EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
# What CloudWatch Logs takes (API reference, PutRetentionPolicy).
Retention = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
Endpoint = Literal[
    "bedrock-runtime", "ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "elasticloadbalancing",
    "logs", "monitoring", "secretsmanager", "sqs", "sts",
]  # fmt: skip


class Model(BaseModel):
    """Frozen, strict, and closed: an unknown key is a mistake, not an extension."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)


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


class Autoscaling(Model):
    """The HPA's bounds and targets."""

    min_replicas: Count
    max_replicas: Count
    cpu_percent: Annotated[int, Field(ge=10, le=100)] = 70
    memory_percent_of_limit: Annotated[int, Field(ge=10, le=100)] = 80


class VerticalBounds(Model):
    """What the VPA may set; memory only is controlled, the CPU bounds document the permitted range."""

    min_cpu: Cpu = "100m"
    max_cpu: Cpu = "2"
    min_memory: Memory = "128Mi"
    max_memory: Memory = "4Gi"
    mode: Literal["Off", "InPlaceOrRecreate"] = "Off"


class BedrockModel(Model):
    """A Bedrock model the service may invoke.

    ``profile`` names a cross-region inference profile's prefix (us, eu, …),
    whose calls
    reach the model in each of ``regions``.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9.:-]+$")]
    profile: Literal["us", "eu", "apac", "global"] | None = None
    regions: tuple[str, ...] = ()


class Service(Model):
    """The LangGraph service. Without an image the platform comes up and says what to do next."""

    models: tuple[BedrockModel, ...] = ()
    image: Annotated[str, Field(pattern=r"^[^@\s:]+(:\d+)?(/[^@\s:]+)*@sha256:[0-9a-f]{64}$")] | None = None
    cpu_request: Cpu
    cpu_limit: Cpu
    memory_request: Memory
    memory_limit: Memory
    autoscaling: Autoscaling
    vertical: VerticalBounds = VerticalBounds()
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")] = "agent"


class Secrets(Model):
    """Entries that people fill, and which of them the service mounts. One without a value must not be mounted."""

    entries: tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9/-]*$")], ...] = ("jwt-signing-key",)
    mounted: tuple[str, ...] = ()


class Ingress(Model):
    """The service's public name. Without one, dev is reached inside the VPC or by a port-forward, and prod is refused."""

    host: Annotated[str, Field(pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$")] | None = None
    zone_id: Annotated[str, Field(pattern=r"^Z[A-Z0-9]+$")] | None = None


class Alerts(Model):
    """Who is told."""

    emails: tuple[Annotated[str, Field(pattern=EMAIL)], ...] = ()


class Budget(Model):
    """What the environment may cost."""

    monthly_usd: Count


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


class Settings(Model):
    """One environment, whole."""

    environment: Literal["dev", "prod"]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    account: Account
    tags: Tags
    network: Network
    access: Access
    cluster: Cluster
    nodes: Nodes
    database: Database
    cache: Cache
    service: Service
    budget: Budget
    backup: Backup
    support: Support
    bootstrap: Bootstrap = Bootstrap()
    delivery: Delivery = Delivery()
    secrets: Secrets = Secrets()
    ingress: Ingress = Ingress()
    alerts: Alerts = Alerts()
    teardown: bool = False  # the one lever that opens every gate against deletion

    @field_validator("teardown", mode="before")
    @classmethod
    def _from_plain_config(cls, value: object) -> object:
        # `pulumi config set teardown true` stores a string: Pulumi's plain values have no other type.
        return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value

    @property
    def name(self) -> str:
        """The prefix of every physical name: short, because an IAM role name ends at 64 characters."""
        return f"agents-{self.environment}"

    @property
    def role_path(self) -> str:
        """The IAM path of every role, by which a deployment's own rights are bounded to this environment."""
        return f"/{self.name}/"

    @property
    def protected(self) -> bool:
        """Whether production's gates against deletion are shut."""
        return self.environment == "prod" and not self.teardown


def load(config: Mapping[str, str], project: str = PROJECT) -> Settings:
    """Settings from a stack's flat configuration, as the engine hands it over (objects are JSON strings).

    Raises SettingsError with every problem found, not only the first.
    """
    from infra.rules import problems  # rules import the models above

    raw: dict[str, Any] = {}
    for key, value in config.items():
        namespace, _, field = key.partition(":")
        if namespace == project:
            raw[field] = _decoded(value)
    try:
        settings = Settings.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        raise SettingsError(from_validation(error, Settings)) from None
    found: list[Problem] = list(problems(settings))
    if found:
        raise SettingsError(found)
    return settings


def _decoded(value: str) -> object:
    """Objects and lists arrive as JSON text, everything else is a plain string."""
    if value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
