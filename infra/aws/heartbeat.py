"""The dead man's switch: Alertmanager publishes every few minutes, and CloudWatch rings when it stops."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.keys import Keys
from infra.component import Component
from infra.settings import Settings


@dataclass(frozen=True)
class Topics:
    """Where Alertmanager publishes, and the key that both topics are encrypted with."""

    alerts: pulumi.Input[str]
    heartbeat: pulumi.Input[str]
    key: pulumi.Input[str]


class Heartbeat(Component):
    """Prometheus, Alertmanager and the way out of the cluster, watched from outside of it.

    Produces: Topic without subscribers; without off hours, MetricAlarm on its silence.
    """

    arn: pulumi.Output[str]

    def __init__(
        self, name: str, settings: Settings, keys: Keys, alerts: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, opts)
        topic = aws.sns.Topic(name, name=f"{settings.name}-heartbeat", kms_master_key_id=keys.alerts, opts=self.child())
        self.arn = topic.arn
        if settings.off_hours is None:  # else it would ring each night
            aws.cloudwatch.MetricAlarm(
                name,
                name=f"{settings.name}-heartbeat",
                alarm_description="Alertmanager has not been heard for 15 minutes: no alert of the cluster would arrive.",
                # docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
                namespace="AWS/SNS",
                metric_name="NumberOfMessagesPublished",
                dimensions={"TopicName": f"{settings.name}-heartbeat"},
                statistic="Sum",
                comparison_operator="LessThanThreshold",
                threshold=1,
                period=300,
                evaluation_periods=3,
                treat_missing_data="breaching",
                alarm_actions=[alerts],
                ok_actions=[alerts],
                opts=self.child(),
            )
        self.register_outputs({})
