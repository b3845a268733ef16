"""The system nodes' nights: EventBridge Scheduler asks EKS for none of them, and in the morning for all again."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.aws.identity import assume_by_service
from infra.component import Component
from infra.off_hours import NODES_LATER, NODES_SOONER, Moment, coming, going
from infra.settings import Settings
from infra.settings.platform import OffHours

# docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html: any action of an SDK, by its service's
# and its own name. Scheduler wants the input's names with capitals, whatever the service's reference writes.
UPDATE_GROUP = "arn:aws:scheduler:::aws-sdk:eks:updateNodegroupConfig"
RETRY_SECONDS = 3600  # by default a day: an evening's call could come through in the morning


class NodeHours(Component):
    """What turns a node group off and on. Karpenter runs on it: without it no worker node comes either.

    Produces: Role with RolePolicy, Schedule off, Schedule on.
    """

    def __init__(
        self, name: str, settings: Settings, hours: OffHours, group: aws.eks.NodeGroup, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, opts)
        role = aws.iam.Role(
            f"{name}-hours",
            path=settings.role_path,
            assume_role_policy=json.dumps(assume_by_service("scheduler.amazonaws.com", settings.account.id)),
            permissions_boundary=settings.account.permission_boundary_arn,
            opts=self.child(),
        )
        statement = {"Effect": "Allow", "Action": "eks:UpdateNodegroupConfig", "Resource": group.arn}
        document = pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]})
        granted = aws.iam.RolePolicy(f"{name}-hours", role=role.name, policy=document, opts=self.child())
        nodes = settings.nodes.system
        # EKS takes no maximum of 0 (API reference, NodegroupScalingConfig).
        sizes = {
            "off": {"MinSize": 0, "DesiredSize": 0, "MaxSize": nodes.max_size},
            "on": {"MinSize": nodes.min_size, "DesiredSize": nodes.desired_size, "MaxSize": nodes.max_size},
        }
        moments = {"off": going(hours, later=NODES_LATER), "on": coming(hours, sooner=NODES_SOONER)}
        for word, moment in moments.items():
            wanted = {"ClusterName": group.cluster_name, "NodegroupName": group.node_group_name}
            aws.scheduler.Schedule(
                f"{name}-{word}",
                name=f"{settings.name}-{name}-{word}",
                description=f"{name} {word}: settings.offHours",
                schedule_expression=expression(moment),
                schedule_expression_timezone=hours.time_zone,
                flexible_time_window=aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
                target=aws.scheduler.ScheduleTargetArgs(
                    arn=UPDATE_GROUP,
                    role_arn=role.arn,
                    input=pulumi.Output.json_dumps({**wanted, "ScalingConfig": sizes[word]}),
                    retry_policy=aws.scheduler.ScheduleTargetRetryPolicyArgs(
                        maximum_event_age_in_seconds=RETRY_SECONDS
                    ),
                ),
                opts=self.child(depends_on=[granted]),
            )
        self.register_outputs({})


def expression(moment: Moment) -> str:
    """Minutes, hours, day of the month, month, day of the week, year (scheduler user guide, schedule types)."""
    return f"cron({moment.minute} {moment.hour} ? * {moment.days} *)"
