"""The AWS side of Karpenter, the one way of getting worker nodes: roles, and the queue of interruption notices."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.aws.cluster import Cluster
from infra.aws.identity import PodRole
from infra.aws.karpenter_policy import policies
from infra.aws.nodes import node_role
from infra.component import Component
from infra.settings import Settings

NAMESPACE = "kube-system"
SERVICE_ACCOUNT = "karpenter"

# source, detail type: karpenter-provider-aws cloudformation.yaml
INTERRUPTION_EVENTS = {
    "health": ("aws.health", "AWS Health Event"),
    "spot": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "state": ("aws.ec2", "EC2 Instance State-change Notification"),
    "reservation": ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning"),
}


class NodeProvisioning(Component):
    """What Karpenter needs on AWS.

    Produces: node Role with RolePolicyAttachments and its AccessEntry, the controller's PodRole, Queue with QueuePolicy,
    EventRule and EventTarget per kind of notice.
    """

    node_role_name: pulumi.Output[str]
    queue_name: pulumi.Output[str]
    ready: list[pulumi.Resource]

    def __init__(self, name: str, settings: Settings, cluster: Cluster, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        role, attachments = node_role(f"{name}-node", settings, self.child())
        self.node_role_name = role.name
        entry = aws.eks.AccessEntry(
            f"{name}-node", cluster_name=cluster.name, principal_arn=role.arn, type="EC2_LINUX", opts=self.child()
        )
        queue = aws.sqs.Queue(
            name,
            name=f"{settings.name}-interruptions",
            message_retention_seconds=300,  # a notice older than five minutes is about a node that is gone
            sqs_managed_sse_enabled=True,  # EventBridge could not use a KMS key without a policy for it
            opts=self.child(),
        )
        self.queue_name = queue.name
        aws.sqs.QueuePolicy(name, queue_url=queue.url, policy=queue.arn.apply(_queue_policy), opts=self.child())
        for label, (source, detail) in INTERRUPTION_EVENTS.items():
            rule = aws.cloudwatch.EventRule(
                f"{name}-{label}",
                description=detail,
                event_pattern=json.dumps({"source": [source], "detail-type": [detail]}),
                opts=self.child(),
            )
            aws.cloudwatch.EventTarget(f"{name}-{label}", rule=rule.name, arn=queue.arn, opts=self.child())
        controller = PodRole(
            f"{name}-controller",
            settings,
            cluster.name,
            NAMESPACE,
            SERVICE_ACCOUNT,
            policies=policies(settings, role.arn, queue.arn),
            opts=self.child(),
        )
        self.ready = [controller.association, entry, *attachments]
        self.register_outputs({})


def _queue_policy(queue_arn: str) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": ["events.amazonaws.com", "sqs.amazonaws.com"]},
                    "Action": "sqs:SendMessage",
                    "Resource": queue_arn,
                },
                {
                    "Sid": "OnlyTls",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "sqs:*",
                    "Resource": queue_arn,
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
            ],
        }
    )
