"""Which workload in the cluster may do what on AWS: one least-privilege role each, by Pod Identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from infra.aws.cache import Cache
from infra.aws.cluster import Cluster
from infra.aws.database import Database
from infra.aws.heartbeat import Topics
from infra.aws.identity import PodRole
from infra.aws.load_balancer import LoadBalancer
from infra.aws.secrets import DATABASE_ROLES, POOLER_USERS, Secrets
from infra.aws.storage import Storage
from infra.component import Component
from infra.kubernetes import alertmanager, grafana, load_balancer_controller, log_shipper, trace_collector
from infra.kubernetes.labels import HOST_AGENTS, MONITORING
from infra.kubernetes.namespace import DATABASE_INIT, MIGRATE, PGBOUNCER, SERVICE_ACCOUNT
from infra.settings import Settings
from infra.settings.platform import GRAFANA_PASSWORD
from infra.settings.service import BedrockModel

Statement = dict[str, Any]
_READ_SECRET = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]


@dataclass(frozen=True)
class Workload:
    """One service account and what it may do."""

    name: str
    namespace: str
    service_account: str
    policies: Mapping[str, list[Statement]] = field(default_factory=dict[str, list[Statement]])


class WorkloadRoles(Component):
    """The roles of everything in the cluster that calls AWS, except Karpenter's and the add-ons' own.

    Produces: a PodRole per workload of ``workloads``.
    """

    roles: dict[str, PodRole]

    def __init__(
        self,
        name: str,
        settings: Settings,
        cluster: Cluster,
        database: Database,
        caches: Sequence[Cache],
        storage: Storage,
        secrets: Secrets,
        load_balancer: LoadBalancer,
        topics: Topics,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        self.roles = {
            workload.name: PodRole(
                f"{name}-{workload.name}",
                settings,
                cluster.name,
                workload.namespace,
                workload.service_account,
                policies=workload.policies,
                opts=self.child(),
            )
            for workload in workloads(settings, database, caches, storage, secrets, load_balancer, topics)
        }
        self.register_outputs({})


def workloads(
    settings: Settings,
    database: Database,
    caches: Sequence[Cache],
    storage: Storage,
    secrets: Secrets,
    load_balancer: LoadBalancer,
    topics: Topics,
) -> list[Workload]:
    """The workloads of an environment and their statements, as data."""
    home = settings.service.namespace
    people = []
    if settings.monitoring.grafana:
        reads = {"secrets": [_reads(secrets.arns[GRAFANA_PASSWORD])]}
        people.append(Workload("grafana", MONITORING, grafana.SERVICE_ACCOUNT, reads))
    poolers = []
    if settings.database.pooler:
        poolers.append(Workload(PGBOUNCER, home, PGBOUNCER, {"secrets": [_reads(secrets.arns[POOLER_USERS])]}))
    return [
        *people,
        *poolers,
        Workload("service", home, SERVICE_ACCOUNT, {"service": _service(settings, caches, secrets)}),
        Workload("database-init", home, DATABASE_INIT, {"secrets": _database_init(settings, database, secrets)}),
        Workload("migrate", home, MIGRATE, {"secrets": [_reads(secrets.arns["database/agent_migrate"])]}),
        Workload("backup", home, "backup", {"backups": _backup(storage, secrets)}),
        Workload(
            "load-balancer-controller",
            load_balancer_controller.NAMESPACE,
            load_balancer_controller.SERVICE_ACCOUNT,
            {"targets": _targets(load_balancer)},
        ),
        Workload("log-shipper", HOST_AGENTS, log_shipper.SERVICE_ACCOUNT, {"logs": _log_shipper(settings)}),
        Workload("trace-collector", MONITORING, trace_collector.SERVICE_ACCOUNT, {"traces": [_TRACES]}),
        Workload("alertmanager", MONITORING, alertmanager.SERVICE_ACCOUNT, {"topics": _publishes(topics)}),
        Workload(
            "database-exporter",
            MONITORING,
            "postgres-exporter",
            {"secrets": [_reads(secrets.arns["database/agent_monitor"])]},
        ),
    ]


def _reads(*arns: pulumi.Input[str]) -> Statement:
    return {"Effect": "Allow", "Action": _READ_SECRET, "Resource": list(arns)}


def _service(settings: Settings, caches: Sequence[Cache], secrets: Secrets) -> list[Statement]:
    mounted = [secrets.arns["database/agent_app"], *(secrets.arns[name] for name in settings.secrets.mounted)]
    statements: list[Statement] = [
        _reads(*mounted),
        _connects(caches),
    ]
    if settings.service.models:
        statements.append(
            {
                "Effect": "Allow",
                "Action": ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"],
                "Resource": [arn for model in settings.service.models for arn in _model_arns(settings, model)],
            }
        )
    return statements


def _connects(caches: Sequence[Cache]) -> Statement:
    """IAM authentication to Valkey names the group and the user (ElastiCache user guide, IAM authentication)."""
    arns = [arn for cache in caches for arn in (cache.arn, cache.user_arn)]
    return {"Effect": "Allow", "Action": "elasticache:Connect", "Resource": arns}


def _model_arns(settings: Settings, model: BedrockModel) -> list[str]:
    """The model itself; for an inference profile, the profile and the model in every region that it may reach.

    docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html
    """
    regions = model.regions or (settings.region,)
    arns = [f"arn:aws:bedrock:{region}::foundation-model/{model.id}" for region in regions]
    if model.profile:
        here = f"arn:aws:bedrock:{settings.region}:{settings.account.id}"
        arns.append(f"{here}:inference-profile/{model.profile}.{model.id}")
    return arns


def _database_init(settings: Settings, database: Database, secrets: Secrets) -> list[Statement]:
    entries = [f"database/{role}" for role in DATABASE_ROLES] + ([POOLER_USERS] if settings.database.pooler else [])
    ours = [secrets.arns[entry] for entry in entries]
    return [
        # Its own too: a second run must keep the passwords that exist.
        _reads(database.master_secret_arn, *ours),
        {"Effect": "Allow", "Action": "secretsmanager:PutSecretValue", "Resource": ours},
    ]


def _backup(storage: Storage, secrets: Secrets) -> list[Statement]:
    return [
        _reads(secrets.arns["database/agent_ro"]),
        {
            "Effect": "Allow",
            # No delete: a backup job that is taken over cannot erase what it wrote.
            "Action": ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"],
            "Resource": pulumi.Output.concat(storage.backups.arn, "/logical/*"),
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": storage.backups.arn},
    ]


def _targets(load_balancer: LoadBalancer) -> list[Statement]:
    """What the controller needs for a TargetGroupBinding without rules of its own, and no more.

    kubernetes-sigs/aws-load-balancer-controller docs/deploy/installation.md, the subset for TargetGroupBinding only;
    without its two ModifyTargetGroup calls, which only Ingress objects lead to. Describe calls know no resource.
    """
    return [
        {
            "Effect": "Allow",
            "Action": [
                "ec2:DescribeVpcs",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeInstances",
                "elasticloadbalancing:DescribeTargetGroups",
                "elasticloadbalancing:DescribeTargetHealth",
            ],
            "Resource": "*",
        },
        {
            "Effect": "Allow",
            "Action": ["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"],
            "Resource": load_balancer.target_group_arn,
        },
    ]


def _publishes(topics: Topics) -> list[Statement]:
    return [
        {"Effect": "Allow", "Action": "sns:Publish", "Resource": [topics.alerts, topics.heartbeat]},
        # docs.aws.amazon.com/sns/latest/dg/sns-key-management.html: what a publisher needs of the topic's key.
        {"Effect": "Allow", "Action": ["kms:GenerateDataKey*", "kms:Decrypt"], "Resource": topics.key},
    ]


# AWSXRayDaemonWriteAccess (AWS managed policy) without its statistics, which the exporter does not ask for. None of the
# actions knows a resource.
_TRACES: Statement = {
    "Effect": "Allow",
    "Action": [
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
        "xray:GetSamplingRules",
        "xray:GetSamplingTargets",
    ],
    "Resource": "*",
}


def _log_shipper(settings: Settings) -> list[Statement]:
    group = f"arn:aws:logs:{settings.region}:{settings.account.id}:log-group:/{settings.name}/pods"
    return [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
            "Resource": [group, f"{group}:*"],
        }
    ]
