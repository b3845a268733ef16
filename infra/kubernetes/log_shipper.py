"""Fluent Bit on every node: what containers write goes to a CloudWatch log group of ours, which is encrypted and ends."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_kubernetes.helm.v3 import Release

from infra.component import Component
from infra.kubernetes.charts import release, resources
from infra.kubernetes.labels import HOST_AGENTS
from infra.settings import Settings

CHART = "fluent-bit"
SERVICE_ACCOUNT = "fluent-bit"


class LogShipper(Component):
    """Ships containers' logs, with the pod's name and labels; how long they are kept is ``cluster.logRetentionDays``.

    Produces: Release fluent-bit.
    """

    release: Release

    def __init__(self, name: str, settings: Settings, group: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        text = pulumi.Output.from_input(group).apply(lambda found: _output(settings.region, found))
        values: dict[str, Any] = {
            "serviceAccount": {"name": SERVICE_ACCOUNT},
            "testFramework": {"enabled": False},  # a pod of another image
            "tolerations": [{"operator": "Exists"}],  # system nodes write logs too
            "priorityClassName": "system-node-critical",
            "resources": resources(settings, CHART),
            "config": {"inputs": INPUT, "filters": FILTER, "outputs": text},
        }
        self.release = release(settings, CHART, HOST_AGENTS, values, self.child())
        self.register_outputs({})


# docs.fluentbit.io/manual/data-pipeline, classic mode. The position is kept on the node: a restart repeats and loses
# nothing. Its own log is left out, or an error of the output would feed itself.
INPUT = """\
[INPUT]
    Name tail
    Path /var/log/containers/*.log
    Exclude_Path /var/log/containers/fluent-bit-*.log
    multiline.parser cri
    Tag kube.*
    DB /var/log/fluent-bit.db
    Mem_Buf_Limit 16MB
    Skip_Long_Lines On
"""
# The service's lines are JSON already: their fields become the record's.
FILTER = """\
[FILTER]
    Name kubernetes
    Match kube.*
    Merge_Log On
    Keep_Log Off
    Annotations Off
"""


def _output(region: str, group: str) -> str:
    # A stream for each container; the prefix is for what the kubernetes filter could not name.
    return f"""\
[OUTPUT]
    Name cloudwatch_logs
    Match kube.*
    region {region}
    log_group_name {group}
    log_stream_prefix unnamed-
    log_stream_template $kubernetes['namespace_name'].$kubernetes['pod_name'].$kubernetes['container_name']
    auto_create_group Off
    Retry_Limit 10
"""
