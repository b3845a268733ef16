"""What containers write: who ships it, with which right, where it is kept and for how long."""

from __future__ import annotations

import json

import pytest

from infra.kubernetes.labels import HOST_AGENTS
from tests.environments import graph_of, settings_of
from tests.program.test_graph import reaches

STACKS = ["dev", "prod"]
RELEASE = "kubernetes:helm.sh/v3:Release"


@pytest.mark.parametrize("stack", STACKS)
def test_logs_of_every_node_go_to_the_one_group_that_the_shipper_may_write(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    shipper = graph.one(RELEASE, "fluent-bit")
    values = shipper.inputs["values"]
    group = graph.one("aws:cloudwatch/logGroup:LogGroup", "pod-logs")
    lines = [line.split(maxsplit=1) for line in values["config"]["outputs"].splitlines() if line.startswith(" ")]
    output = dict(lines)
    assert (output["log_group_name"], output["region"]) == (group.inputs["name"], "us-east-1")
    assert output["auto_create_group"] == "Off"  # a group of its own making is neither encrypted nor ends
    assert group.inputs["retentionInDays"] == settings_of(stack).cluster.log_retention_days
    assert group.inputs["kmsKeyId"]

    association = graph.one("aws:eks/podIdentityAssociation:PodIdentityAssociation", "workloads-log-shipper").inputs
    assert (association["namespace"], association["serviceAccount"]) == (HOST_AGENTS, values["serviceAccount"]["name"])
    policy = json.loads(graph.one("aws:iam/rolePolicy:RolePolicy", "workloads-log-shipper-logs").inputs["policy"])
    [statement] = policy["Statement"]
    assert statement["Resource"] == [group.outputs["arn"], f"{group.outputs['arn']}:*"]
    assert "logs:CreateLogGroup" not in statement["Action"]

    assert values["tolerations"] == [{"operator": "Exists"}]
    assert shipper.inputs["namespace"] == HOST_AGENTS
    namespace = graph.one("kubernetes:core/v1:Namespace", f"platform-{HOST_AGENTS}")
    assert all(reaches(graph, shipper, row) for row in (group, namespace))


def test_the_shipper_reads_no_log_of_its_own() -> None:
    inputs = graph_of("dev").one(RELEASE, "fluent-bit").inputs["values"]["config"]["inputs"]
    assert "Exclude_Path /var/log/containers/fluent-bit-*.log" in inputs
