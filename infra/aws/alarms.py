"""CloudWatch alarms on what Prometheus in the cluster cannot see, and the topic they ring."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.cache import groups
from infra.aws.keys import Keys
from infra.aws.load_balancer import LoadBalancer
from infra.component import Component
from infra.instances import max_connections
from infra.settings import Settings

GIB = 2**30
HOUR, DAY = 3600, 86_400
# They would ring each night with off hours: the queue hears of nodes that end, and has no reader; requests have no target.
NEED_NODES = ("interruptions-unread", "load-balancer-errors")

# Services that publish to the topic (each one's page on SNS notifications names its principal).
PUBLISHERS = ("cloudwatch.amazonaws.com", "budgets.amazonaws.com", "backup.amazonaws.com", "events.amazonaws.com")


@dataclass(frozen=True)
class Alarm:
    """One alarm. ``missing`` is what no data means: breaching where silence is the failure. Statistics may be percentiles."""

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
    dimensions: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])


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
    """Alarms on PostgreSQL, Valkey, the load balancer, the interruption queue and backups.

    Produces: a MetricAlarm per row of ``alarms`` (with off hours, without NEED_NODES), and one on the share of requests that the service fails.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        load_balancer: LoadBalancer,
        topic: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        for alarm in [*alarms(settings), *_load_balancer(load_balancer)]:
            if settings.off_hours and alarm.name in NEED_NODES:
                continue
            percentile = alarm.statistic.startswith("p")
            aws.cloudwatch.MetricAlarm(
                f"{name}-{alarm.name}",
                name=f"{settings.name}-{alarm.name}",
                alarm_description=alarm.why,
                namespace=alarm.namespace,
                metric_name=alarm.metric,
                statistic=None if percentile else alarm.statistic,
                extended_statistic=alarm.statistic if percentile else None,
                # A percentile of a handful of requests says nothing.
                evaluate_low_sample_count_percentiles="ignore" if percentile else None,
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
        aws.cloudwatch.MetricAlarm(
            f"{name}-load-balancer-failing",
            name=f"{settings.name}-load-balancer-failing",
            alarm_description="The service answers more than 5 % of at least 100 requests in five minutes with 5xx.",
            comparison_operator="GreaterThanThreshold",
            threshold=5,
            evaluation_periods=2,
            treat_missing_data="notBreaching",
            metric_queries=[
                _counted("errors", "HTTPCode_Target_5XX_Count", load_balancer),
                _counted("requests", "RequestCount", load_balancer),
                aws.cloudwatch.MetricAlarmMetricQueryArgs(
                    id="share",
                    # A count that is nothing is not reported: FILL.
                    expression="IF(requests >= 100, 100 * FILL(errors, 0) / requests, 0)",
                    label="5xx answers in percent",
                    return_data=True,
                ),
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
    for group in groups(settings):
        for node in group.nodes:
            for name, metric, threshold, why in measures:
                if name == "memory" and group.evicts:
                    continue  # full is how it should be
                rows.append(
                    Alarm(
                        f"{group.name}-{name}-{node[-3:]}", "AWS/ElastiCache", metric, "Maximum", "GreaterThanThreshold",
                        threshold, why, dimensions={"CacheClusterId": node},
                    )
                )  # fmt: skip
    return rows


def _load_balancer(load_balancer: LoadBalancer) -> list[Alarm]:
    """Metrics and dimensions: ELB user guide, CloudWatch metrics for your Application Load Balancer."""
    whole: dict[str, pulumi.Input[str]] = {"LoadBalancer": load_balancer.arn_suffix}
    group = {**whole, "TargetGroup": load_balancer.target_group_arn_suffix}
    return [
        Alarm(
            "load-balancer-errors", "AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", "Sum", "GreaterThanThreshold", 10,
            "The load balancer answers 5xx itself: no healthy target, or time-outs.", 60, 3, dimensions=whole,
        ),
        Alarm(
            "load-balancer-unhealthy", "AWS/ApplicationELB", "UnHealthyHostCount", "Maximum", "GreaterThanThreshold", 0,
            "Pods are unready for ten minutes: longer than any start or rollout step.", 60, 10, dimensions=group,
        ),
        Alarm(
            "load-balancer-slow", "AWS/ApplicationELB", "TargetResponseTime", "p95", "GreaterThanThreshold", 2,
            "p95 until the service's first byte is above 2 s. It includes requests that wait for their whole run.",
            dimensions=whole,
        ),
    ]  # fmt: skip


def _counted(identity: str, metric: str, load_balancer: LoadBalancer) -> aws.cloudwatch.MetricAlarmMetricQueryArgs:
    return aws.cloudwatch.MetricAlarmMetricQueryArgs(
        id=identity,
        metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
            namespace="AWS/ApplicationELB",
            metric_name=metric,
            period=300,
            stat="Sum",
            dimensions={"LoadBalancer": load_balancer.arn_suffix},
        ),
    )


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
