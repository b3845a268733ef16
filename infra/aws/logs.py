"""Log groups that are encrypted and end, and the VPC flow log that fills one."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.aws.identity import assume_by_service
from infra.component import Component
from infra.settings import Settings


def log_group(
    resource: str,
    name: str,
    settings: Settings,
    key: pulumi.Input[str],
    retention_days: int,
    opts: pulumi.ResourceOptions,
) -> aws.cloudwatch.LogGroup:
    """A log group of ours, made before AWS makes an unencrypted one without end under the same name."""
    keep = pulumi.ResourceOptions(retain_on_delete=settings.protected)
    return aws.cloudwatch.LogGroup(
        resource,
        name=name,
        retention_in_days=retention_days,
        kms_key_id=key,
        opts=pulumi.ResourceOptions.merge(opts, keep),
    )


class FlowLog(Component):
    """Accepted and rejected traffic of the VPC.

    Produces: LogGroup, Role with its RolePolicy, FlowLog.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        vpc_id: pulumi.Input[str],
        key: pulumi.Input[str],
        retention_days: int,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        group = log_group(name, f"/{settings.name}/vpc-flow", settings, key, retention_days, self.child())
        role = aws.iam.Role(
            name,
            path=settings.role_path,
            assume_role_policy=json.dumps(assume_by_service("vpc-flow-logs.amazonaws.com", settings.account.id)),
            permissions_boundary=settings.account.permission_boundary_arn,
            opts=self.child(),
        )
        aws.iam.RolePolicy(
            name,
            role=role.name,
            # docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html, narrowed to our group.
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
                            "Resource": pulumi.Output.concat(group.arn, ":*"),
                        }
                    ],
                }
            ),
            opts=self.child(),
        )
        aws.ec2.FlowLog(
            name,
            vpc_id=vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=60,  # seconds; the default of 600 hides a short scan
            tags={"Name": settings.name},
            opts=self.child(),
        )
        self.register_outputs({})
