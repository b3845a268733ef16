"""CloudWatch alarms on what Prometheus in the cluster cannot see, and the topic they ring."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.keys import Keys
from infra.component import Component
from infra.instances import max_connections
from infra.settings import Settings

GIB = 2**30
HOUR, DAY = 3600, 86_400

# Services that publish to the topic (each one's page on SNS notifications names its principal).
PUBLISHERS = ("cloudwatch.amazonaws.com", "budgets.amazonaws.com", "backup.amazonaws.com", "events.amazonaws.com")


@dataclass(frozen=True)
class Alarm:
    """One alarm. ``missing`` is what no data means: breaching where silence is the failure."""

    name: str
    namespace: str
    metric: str
    statistic: str
    comparison: str
    threshold: float
    why: str
    period: int = 300
    periods: int = 3
    missing: str = "notBreaching"
    dimensions: dict[str, str] = field(default_factory=dict[str, str])


class AlertTopic(Component):
    """Where alarms, budgets and backups ring.

    Produces: Topic (encrypted), TopicPolicy for the publishing services, a TopicSubscription per e-mail address.
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, settings: Settings, keys: Keys, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        topic = aws.sns.Topic(name, name=f"{settings.name}-alerts", kms_master_key_id=keys.alerts, opts=self.child())
        self.arn = topic.arn
        aws.sns.TopicPolicy(
            name,
            arn=topic.arn,
            policy=topic.arn.apply(lambda arn: json.dumps(_topic_policy(arn, settings.account.id))),
            opts=self.child(),
        )
        for index, address in enumerate(settings.alerts.emails):
            aws.sns.TopicSubscription(
                f"{name}-{index}", topic=topic.arn, protocol="email", endpoint=address, opts=self.child()
            )
        self.register_outputs({})


class Alarms(Component):
    """Alarms on PostgreSQL, Valkey, load balancers, the interruption queue and backups.

    Produces: a MetricAlarm per row of ``alarms`` and one Metrics Insights alarm on load balancer errors.
    """

    def __init__(self, name: str, settings: Settings, topic: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        for alarm in alarms(settings):
            aws.cloudwatch.MetricAlarm(
                f"{name}-{alarm.name}",
                name=f"{settings.name}-{alarm.name}",
                alarm_description=alarm.why,
                namespace=alarm.namespace,
                metric_name=alarm.metric,
                statistic=alarm.statistic,
                comparison_operator=alarm.comparison,
                threshold=alarm.threshold,
                period=alarm.period,
                evaluation_periods=alarm.periods,
                treat_missing_data=alarm.missing,
                dimensions=alarm.dimensions,
                alarm_actions=[topic],
                ok_actions=[topic],
                opts=self.child(),
            )
        # The controller names the load balancer at run time, so its dimension is not known here: ask over all of them.
        aws.cloudwatch.MetricAlarm(
            f"{name}-load-balancer-errors",
            name=f"{settings.name}-load-balancer-errors",
            alarm_description="Load balancers of this account and region answer 5xx themselves: no healthy target, or time-outs.",
            comparison_operator="GreaterThanThreshold",
            threshold=10,
            evaluation_periods=3,
            treat_missing_data="notBreaching",
            metric_queries=[
                aws.cloudwatch.MetricAlarmMetricQueryArgs(
                    id="errors",
                    expression='SELECT SUM(HTTPCode_ELB_5XX_Count) FROM SCHEMA("AWS/ApplicationELB", LoadBalancer)',
                    period=60,
                    return_data=True,
                )
            ],
            alarm_actions=[topic],
            ok_actions=[topic],
            opts=self.child(),
        )
        self.register_outputs({})


def alarms(settings: Settings) -> list[Alarm]:
    """The alarms of an environment, as data."""
    rows = [*_database(settings), *_cache(settings)]
    queue = {"QueueName": f"{settings.name}-interruptions"}
    rows.append(
        Alarm(
            "interruptions-unread", "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", "GreaterThanThreshold", 60,
            "Karpenter does not read interruption notices: Spot nodes will go without a drain.", 60, 2, dimensions=queue,
        )
    )  # fmt: skip
    if settings.backup.enabled:
        vault = {"BackupVaultName": f"{settings.name}"}
        rows += [
            Alarm(
                "backup-failed", "AWS/Backup", "NumberOfBackupJobsFailed", "Sum", "GreaterThanThreshold", 0,
                "A backup job failed.", HOUR, 1, dimensions=vault,
            ),
            Alarm(
                "backup-late", "AWS/Backup", "NumberOfBackupJobsCompleted", "Sum", "LessThanThreshold", 1,
                "No backup finished for two days.", DAY, 2, "breaching", vault,
            ),
            Alarm(
                "backup-copy-failed", "AWS/Backup", "NumberOfCopyJobsFailed", "Sum", "GreaterThanThreshold", 0,
                "A copy to the other region failed.", HOUR, 1, dimensions=vault,
            ),
            # Seven days is the longest that an alarm looks back; the drill is twice a week. AWS Backup gives these
            # metrics by resource type (developer guide, monitoring with CloudWatch).
            Alarm(
                "restore-drill-late", "AWS/Backup", "NumberOfRestoreJobsCompleted", "Sum", "LessThanThreshold", 1,
                "No restore test finished for a week: a backup nobody restored is a hope.", DAY, 7, "breaching",
                {"ResourceType": "RDS"},
            ),
        ]  # fmt: skip
    return rows


def _database(settings: Settings) -> list[Alarm]:
    where = {"DBInstanceIdentifier": settings.name}
    connections = max_connections(settings.database.instance_class) or 0

    def row(name: str, metric: str, comparison: str, threshold: float, why: str, statistic: str = "Average") -> Alarm:
        return Alarm(f"database-{name}", "AWS/RDS", metric, statistic, comparison, threshold, why, dimensions=where)

    return [
        row("cpu", "CPUUtilization", "GreaterThanThreshold", 80, "PostgreSQL's CPU is above 80 %."),
        row(
            "storage",
            "FreeStorageSpace",
            "LessThanThreshold",
            settings.database.storage_gib * GIB // 10,
            "Less than a tenth of the first allocation is free; storage grows by itself up to maxStorageGib.",
        ),
        row("memory", "FreeableMemory", "LessThanThreshold", GIB // 4, "Less than 256 MiB of memory is free."),
        row(
            "connections",
            "DatabaseConnections",
            "GreaterThanThreshold",
            connections * 8 // 10,
            "More than 80 % of the connections we plan with are open.",
            "Maximum",
        ),
        row(
            "queue-depth", "DiskQueueDepth", "GreaterThanThreshold", 32, "The disk is the limit: raise IOPS or storage."
        ),
    ]


def _cache(settings: Settings) -> list[Alarm]:
    rows: list[Alarm] = []
    measures: list[tuple[str, str, float, str]] = [
        ("cpu", "EngineCPUUtilization", 80, "Valkey's one thread is above 80 %."),
        ("memory", "DatabaseMemoryUsagePercentage", 80, "Valkey is above 80 % of its memory and does not evict."),
        ("throttled", "TrafficManagementActive", 0, "Valkey sheds load."),
    ]
    # Metrics are per node, and nodes are numbered from 001 (ElastiCache user guide, metrics).
    for number in range(1, settings.cache.replicas + 2):
        node = f"{settings.name}-{number:03d}"
        for name, metric, threshold, why in measures:
            rows.append(
                Alarm(
                    f"cache-{name}-{number:03d}", "AWS/ElastiCache", metric, "Maximum", "GreaterThanThreshold",
                    threshold, why, dimensions={"CacheClusterId": node},
                )
            )  # fmt: skip
    return rows


def _topic_policy(topic: str, account: str) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "ServicesPublish",
                "Effect": "Allow",
                "Principal": {"Service": list(PUBLISHERS)},
                "Action": "sns:Publish",
                "Resource": topic,
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            },
            {
                "Sid": "OnlyTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sns:Publish",
                "Resource": topic,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ],
    }
