"""Nodes off at night: what the setting makes, and that it does what its times say; from the captured graph."""

from __future__ import annotations

import json
import zoneinfo
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.aws.alarms import NEED_NODES
from infra.aws.off_hours import expression
from infra.off_hours import SHORTEST, coming, going, time_zones
from infra.settings.model import Day
from infra.settings.platform import OffHours
from infra.versions import KUBECTL_IMAGE, KUBERNETES
from policies.check import Status
from policies.command import assess
from stacks.graph import Graph, Resource
from tests.admission import refusals
from tests.cost.test_optimise import DAY
from tests.environments import graph_of, settings_of
from tests.program.test_admission import namespace
from tests.program.test_delivery import CHANGES as DELIVERY
from tests.program.test_properties import every_name_is_within_its_limit, every_reference_resolves

OFF = {"offHours": {"timeZone": "Europe/Berlin", "from": "20:00", "to": "08:00"}}
SCHEDULE, CRON_JOB = "aws:scheduler/schedule:Schedule", "kubernetes:batch/v1:CronJob"
RBAC = "kubernetes:rbac.authorization.k8s.io/v1:"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
DEPLOYMENTS = ["agent-api", "agent-workers"]
EACH_DAY = "MON,TUE,WED,THU,FRI,SAT,SUN"


@pytest.fixture(scope="module")
def dev() -> Graph:
    return graph_of("dev", OFF, preview=False)


def named(graph: Graph) -> set[tuple[str, str]]:
    return {(row.type, row.name) for row in graph if row.custom}


def containers(job: Resource) -> list[dict[str, Any]]:
    return job.inputs["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]


def test_it_adds_two_schedules_two_jobs_and_their_rights_and_takes_what_would_ring_each_night(dev: Graph) -> None:
    without = graph_of("dev", preview=False)
    assert named(dev) - named(without) == {
        ("aws:iam/role:Role", "system-nodes-hours"),
        ("aws:iam/rolePolicy:RolePolicy", "system-nodes-hours"),
        (SCHEDULE, "system-nodes-off"),
        (SCHEDULE, "system-nodes-on"),
        (CRON_JOB, "service-off"),
        (CRON_JOB, "service-on"),
        ("kubernetes:core/v1:ServiceAccount", "off-hours"),
        (f"{RBAC}Role", "off-hours"),
        (f"{RBAC}RoleBinding", "off-hours"),
        ("kubernetes:networking.k8s.io/v1:NetworkPolicy", "network-policies-agent-api-server-out"),
    }
    gone = {(ALARM, "heartbeat"), *((ALARM, f"alarms-{name}") for name in NEED_NODES)}
    assert named(without) - named(dev) == gone
    before = {row.urn: row.inputs for row in without}
    changed = {row.name for row in dev if row.urn in before and row.inputs != before[row.urn]}
    on_nodes = {f"system-nodes-{name}" for name in ("coredns", "metrics-server", "aws-ebs-csi-driver")}
    assert changed == {"monitoring", *on_nodes}  # two alerts of the cluster know the night


def test_no_deployment_of_an_add_on_can_bring_karpenter_to_launch_a_worker(dev: Graph) -> None:
    bound = {"nodeSelector": {"karpenter.sh/controller": "true"}}
    found = {
        row.inputs["addonName"]: json.loads(row.inputs.get("configurationValues") or "{}")
        for row in dev.of_type("aws:eks/addon:Addon")
    }
    assert bound.items() <= found["coredns"].items()
    assert bound.items() <= found["metrics-server"].items()
    assert bound.items() <= found["aws-ebs-csi-driver"]["controller"].items()
    one_on_each_node = {
        "vpc-cni", "kube-proxy", "eks-pod-identity-agent", "eks-node-monitoring-agent",
        "aws-secrets-store-csi-driver-provider",
    }  # fmt: skip
    assert found.keys() - one_on_each_node == {"coredns", "metrics-server", "aws-ebs-csi-driver"}


def test_the_system_nodes_go_after_the_workers_and_come_before_the_service(dev: Graph) -> None:
    group = dev.one("aws:eks/nodeGroup:NodeGroup").outputs
    expected = {
        "off": (f"cron(30 20 ? * {EACH_DAY} *)", {"MinSize": 0, "DesiredSize": 0, "MaxSize": 3}),
        "on": ("cron(45 7 ? * MON,TUE,WED,THU,FRI *)", {"MinSize": 2, "DesiredSize": 2, "MaxSize": 3}),
    }
    for word, (when, sizes) in expected.items():
        inputs = dev.one(SCHEDULE, f"system-nodes-{word}").inputs
        assert (inputs["scheduleExpression"], inputs["scheduleExpressionTimezone"]) == (when, "Europe/Berlin")
        assert inputs["flexibleTimeWindow"] == {"mode": "OFF"}
        assert inputs["target"]["arn"] == "arn:aws:scheduler:::aws-sdk:eks:updateNodegroupConfig"
        assert json.loads(inputs["target"]["input"]) == {
            "ClusterName": group["clusterName"],
            "NodegroupName": group["nodeGroupName"],
            "ScalingConfig": sizes,
        }


def test_the_schedules_role_is_for_this_accounts_scheduler_and_this_group_alone(dev: Graph) -> None:
    role = dev.one("aws:iam/role:Role", "system-nodes-hours")
    [trust] = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    policy = dev.one("aws:iam/rolePolicy:RolePolicy", "system-nodes-hours")
    assert json.loads(policy.inputs["policy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "eks:UpdateNodegroupConfig",
            "Resource": dev.one("aws:eks/nodeGroup:NodeGroup").outputs["arn"],
        }
    ]
    for word in ("off", "on"):
        schedule = dev.one(SCHEDULE, f"system-nodes-{word}")
        assert schedule.inputs["target"]["roleArn"] == role.outputs["arn"]
        assert policy.urn in schedule.dependencies


def test_a_night_is_no_drift_of_the_group_and_only_with_the_setting(dev: Graph) -> None:
    ignored = {"with": dev, "without": graph_of("dev", preview=False)}
    found = {name: graph.one("aws:eks/nodeGroup:NodeGroup").options.ignore_changes for name, graph in ignored.items()}
    assert list(found["without"]) == ["scalingConfig.desiredSize"]
    assert list(found["with"]) == ["scalingConfig.desiredSize", "scalingConfig.minSize"]


def test_the_jobs_scale_each_deployment_to_nothing_and_to_its_minimum_on_the_system_nodes(dev: Graph) -> None:
    expected = {"off": (f"0 20 * * {EACH_DAY}", [0, 0]), "on": ("0 8 * * MON,TUE,WED,THU,FRI", [2, 1])}
    for word, (when, counts) in expected.items():
        job = dev.one(CRON_JOB, f"service-{word}")
        assert (job.inputs["spec"]["schedule"], job.inputs["spec"]["timeZone"]) == (when, "Europe/Berlin")
        assert [row["args"] for row in containers(job)] == [
            ["scale", "--namespace=agent", f"--replicas={count}", f"deployment/{name}"]
            for name, count in zip(DEPLOYMENTS, counts, strict=True)
        ]
        pod = job.inputs["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["nodeSelector"] == {"karpenter.sh/controller": "true"}
        assert pod["tolerations"] == [{"key": "CriticalAddonsOnly", "operator": "Exists"}]
        assert list(refusals(dev, job.inputs, namespace("agent", "dev"))) == []


def test_their_account_may_scale_these_deployments_and_nothing_else(dev: Graph) -> None:
    rules = dev.one(f"{RBAC}Role", "off-hours").inputs["rules"]
    assert rules == [
        {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": DEPLOYMENTS, "verbs": ["get"]},
        {
            "apiGroups": ["apps"],
            "resources": ["deployments/scale"],
            "resourceNames": DEPLOYMENTS,
            "verbs": ["get", "patch"],
        },
    ]
    [subject] = dev.one(f"{RBAC}RoleBinding", "off-hours").inputs["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "off-hours", "namespace": "agent"}


def test_kubectl_is_of_the_clusters_minor_by_digest_through_the_accounts_registry(dev: Graph) -> None:
    name, _, digest = KUBECTL_IMAGE.partition("@")
    assert name.startswith(f"registry.k8s.io/kubectl:v{KUBERNETES}.")
    assert len(digest) == len("sha256:") + 64
    ours = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/agents-dev/{KUBECTL_IMAGE}"
    jobs = dev.of_type(CRON_JOB)
    assert {row["image"] for job in jobs for row in containers(job)} == {ours}


def test_without_an_image_of_the_service_the_nodes_still_go_and_there_is_nothing_to_scale() -> None:
    graph = graph_of("dev", OFF, image=False)
    assert len(graph.of_type(SCHEDULE)) == 2
    assert graph.of_type(CRON_JOB) == []


def test_no_policy_fails_for_it_that_does_not_fail_without(dev: Graph) -> None:
    def failing(graph: Graph) -> set[tuple[str, str]]:
        verdicts = assess(graph, "dev", DAY).verdicts
        return {(row.check.id, row.urn) for row in verdicts if row.status is Status.FAIL}

    assert failing(dev) <= failing(graph_of("dev", preview=False))


def test_names_and_references_are_sound(dev: Graph) -> None:
    every_reference_resolves(dev)
    every_name_is_within_its_limit(dev)


def test_the_pipeline_may_make_its_schedules_and_look_at_them_where_there_are_any() -> None:
    for changes, expected in (({**DELIVERY, **OFF}, True), (DELIVERY, False)):
        graph = graph_of("dev", changes, preview=False)
        for role, actions in (("deploy", 4), ("preview", 1)):
            policy = json.loads(graph.one("aws:iam/rolePolicy:RolePolicy", f"delivery-{role}").inputs["policy"])
            found = [row for row in policy["Statement"] if "scheduler:" in json.dumps(row["Action"])]
            assert bool(found) is expected, role
            for row in found:
                assert len([row["Action"]] if isinstance(row["Action"], str) else row["Action"]) == actions
                assert row["Resource"] == "arn:aws:scheduler:us-east-1:123456789012:schedule/default/agents-dev-*"
        assert (
            "scheduler.amazonaws.com" in str(graph.one("aws:iam/rolePolicy:RolePolicy", "delivery-deploy").inputs)
        ) is (expected)


@pytest.mark.parametrize(
    ("start", "end", "days", "off", "on"),
    [
        ("20:00", "08:00", ["friday"], "30 20", "cron(45 7 ? * FRI *)"),
        ("23:45", "00:10", ["sunday"], "15 0", "cron(55 23 ? * SAT *)"),
        ("02:00", "09:00", ["monday", "sunday"], "30 2", "cron(45 8 ? * MON,SUN *)"),
    ],
    ids=["by day", "over two midnights", "until the next morning"],
)
def test_nodes_go_each_day_and_what_is_done_before_midnight_is_done_on_the_day_before(
    start: str, end: str, days: list[str], off: str, on: str
) -> None:
    hours = OffHours.model_validate({"timeZone": "Etc/UTC", "from": start, "to": end, "workdays": tuple(days)})
    assert (expression(going(hours, later=30)), expression(coming(hours, sooner=15))) == (
        f"cron({off} ? * {EACH_DAY} *)",
        on,
    )


@given(
    st.integers(0, 24 * 60 - 1),
    st.integers(SHORTEST, 24 * 60 - 1),
    st.lists(st.sampled_from(get_args(Day)), min_size=1, unique=True),
)
def test_any_night_that_is_taken_has_its_mornings_and_each_day_an_evening(
    begins: int, lasts: int, days: list[str]
) -> None:
    start, end = (f"{at // 60:02}:{at % 60:02}" for at in (begins, (begins + lasts) % (24 * 60)))
    hours = settings_of("dev", {"offHours": {"timeZone": "Etc/UTC", "from": start, "to": end, "workdays": days}})
    assert hours.off_hours
    assert len(coming(hours.off_hours, 15).days.split(",")) == len(days)
    assert {going(hours.off_hours).days, going(hours.off_hours, 30).days} == {EACH_DAY}


def test_time_zones_are_those_of_the_pinned_package_and_not_the_machines(tmp_path: Path) -> None:
    berlin = resources.files("tzdata").joinpath("zoneinfo", "Europe", "Berlin").read_bytes()
    (tmp_path / "Atlantis").write_bytes(berlin)
    zoneinfo.reset_tzpath([tmp_path])
    try:
        assert "Atlantis" in zoneinfo.available_timezones()  # so a machine would have it
        time_zones.cache_clear()
        assert {"Europe/Berlin", "Etc/UTC", "America/New_York"} <= time_zones()
        assert "Atlantis" not in time_zones()
    finally:
        zoneinfo.reset_tzpath()
