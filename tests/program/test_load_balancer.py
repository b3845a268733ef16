"""The load balancer of each environment, what fills it, and the alarms on it; dev also with a host of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app import contract
from infra.kubernetes.labels import API_LABELS
from infra.problems import SettingsError
from infra.system_pods import system_pod
from stacks.graph import Graph, Resource
from tests.environments import REMOVED, graph_of, pod_of, settings_of, workload
from tests.program.test_graph import reaches

BALANCER, TARGETS, LISTENER = (
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:lb/targetGroup:TargetGroup",
    "aws:lb/listener:Listener",
)
BINDING = "kubernetes:elbv2.k8s.aws/v1beta1:TargetGroupBinding"
RELEASE = "kubernetes:helm.sh/v3:Release"
RECORD = "aws:route53/record:Record"
HOST = {"ingress": {"host": "dev.example.com", "zoneId": "Z1"}}
ENVIRONMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "dev": ("dev", {}),
    "dev with a host": ("dev", HOST),
    "prod": ("prod", {}),
}
PUBLIC = ["dev with a host", "prod"]


def environment(name: str, *, preview: bool = False) -> Graph:
    stack, changes = ENVIRONMENTS[name]
    return graph_of(stack, changes, preview=preview)


def listeners(graph: Graph) -> dict[int, dict[str, Any]]:
    return {row.inputs["port"]: dict(row.inputs) for row in graph.of_type(LISTENER)}


def subnets(graph: Graph, purpose: str) -> set[str]:
    return {row.id for row in graph.of_type("aws:ec2/subnet:Subnet") if f"-{purpose}-" in row.name}


def controller(graph: Graph) -> Resource:
    return graph.one(RELEASE, "aws-load-balancer-controller")


@pytest.mark.parametrize("name", PUBLIC)
def test_with_a_host_it_is_on_the_internet_behind_tls_firewall_and_name(name: str) -> None:
    graph = environment(name)
    balancer, ports = graph.one(BALANCER), listeners(graph)
    host = "dev.example.com" if name != "prod" else "agents.example.com"
    assert balancer.inputs["internal"] is False
    assert set(balancer.inputs["subnets"]) == subnets(graph, "public")
    assert ports[80]["defaultActions"][0]["redirect"] == {"port": "443", "protocol": "HTTPS", "statusCode": "HTTP_301"}
    assert ports[443]["sslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-")
    assert ports[443]["certificateArn"] == graph.one("aws:acm/certificate:Certificate").outputs["arn"]
    assert ports[443]["defaultActions"][0]["targetGroupArn"] == graph.one(TARGETS).outputs["arn"]
    firewall = graph.one("aws:wafv2/webAclAssociation:WebAclAssociation")
    assert firewall.inputs == {
        "resourceArn": balancer.outputs["arn"],
        "webAclArn": graph.one("aws:wafv2/webAcl:WebAcl").outputs["arn"],
    }
    records = [row for row in graph.of_type(RECORD) if row.inputs["name"] == host]
    assert [row.inputs["type"] for row in records] == ["A"]  # no AAAA: the load balancer has no IPv6
    assert records[0].inputs["aliases"][0]["name"] == balancer.outputs["dnsName"]
    assert reaches(graph, records[0], firewall)
    assert graph.exports["serviceUrl"] == f"https://{host}"


def test_without_a_host_it_is_inside_the_vpc_and_has_no_name_on_the_internet() -> None:
    graph = environment("dev")
    balancer = graph.one(BALANCER)
    assert balancer.inputs["internal"] is True
    assert set(balancer.inputs["subnets"]) == subnets(graph, "endpoints")
    assert list(listeners(graph)) == [80]
    rules = graph.of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    [rule] = [row.inputs for row in rules if row.inputs["securityGroupId"] in balancer.inputs["securityGroups"]]
    assert rule["cidrIpv4"] == "10.20.0.0/16"
    assert not {"Record", "WebAcl", "WebAclAssociation", "Certificate"} & {row.kind for row in graph}
    assert graph.exports["serviceUrl"] == f"http://{balancer.outputs['dnsName']}"
    assert "port-forward service/agent" in graph.exports["portForward"]


def test_it_moves_to_the_internet_by_being_made_again_because_a_target_group_belongs_to_one_load_balancer() -> None:
    assert environment("dev").one(BALANCER).options.delete_before_replace


def test_prod_without_a_host_is_refused_with_field_rule_and_remedy() -> None:
    with pytest.raises(SettingsError) as refusal:
        settings_of("prod", {"ingress": REMOVED})
    assert [str(problem) for problem in refusal.value.problems] == [
        "ingress.host=(absent): prod is reached by name, with TLS. Set ingress.host and ingress.zoneId."
    ]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_it_drops_what_is_malformed_and_logs_where_it_may_write(name: str) -> None:
    graph = environment(name)
    balancer = graph.one(BALANCER).inputs
    assert balancer["dropInvalidHeaderFields"] is True
    assert balancer["desyncMitigationMode"] in ("defensive", "strictest")
    assert balancer["enableDeletionProtection"] is (name == "prod")
    bucket = balancer["accessLogs"]["bucket"]
    policy = graph.one("aws:s3/bucketPolicy:BucketPolicy", "storage-access-logs")
    assert (balancer["accessLogs"]["enabled"], policy.inputs["bucket"]) == (True, bucket)
    delivery = json.loads(policy.inputs["policy"])["Statement"][1]
    assert delivery["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert delivery["Resource"] == f"arn:aws:s3:::{bucket}/AWSLogs/123456789012/*"
    assert reaches(graph, graph.one(BALANCER), policy)  # AWS tries to write when logging is switched on


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_leaving_pod_keeps_its_requests_for_as_long_as_it_lives_and_a_slow_one_gets_fewer(name: str) -> None:
    graph = environment(name)
    targets = graph.one(TARGETS).inputs
    pod = pod_of(graph, "agent-api")
    sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert targets["deregistrationDelay"] == sleep + contract.DRAIN_SECONDS
    assert targets["deregistrationDelay"] < pod["terminationGracePeriodSeconds"]
    assert targets["loadBalancingAlgorithmType"] == "least_outstanding_requests"
    assert targets["healthCheck"]["path"] == contract.READY_PATH
    assert (targets["targetType"], targets["port"]) == ("ip", contract.PORT)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_pods_wait_for_the_load_balancer_and_their_gate_is_there_before_they_are(name: str) -> None:
    graph = environment(name)
    labels = graph.one("kubernetes:core/v1:Namespace", "agent").inputs["metadata"]["labels"]
    assert labels["elbv2.k8s.aws/pod-readiness-gate-inject"] == "enabled"
    deployment, service = workload(graph, "agent-api"), graph.one("kubernetes:core/v1:Service", "agent-api")
    for earlier in (graph.one(BINDING), service, controller(graph), *graph.of_type(LISTENER)):
        assert reaches(graph, deployment, earlier), earlier.name
    # Pulumi waits for a Service's endpoints: with the Deployment behind it, both would wait for ever.
    assert service.inputs["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_binding_ties_the_service_to_our_target_group_and_leaves_the_rules_to_us(name: str) -> None:
    graph = environment(name)
    binding, service = graph.one(BINDING).inputs, graph.one("kubernetes:core/v1:Service", "agent-api").inputs
    assert binding["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert binding["spec"] == {
        "serviceRef": {"name": service["metadata"]["name"], "port": service["spec"]["ports"][0]["port"]},
        "targetGroupARN": graph.one(TARGETS).outputs["arn"],
        "targetType": "ip",
    }


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_destroy_takes_targets_out_before_controller_load_balancer_and_the_clusters_group_go(name: str) -> None:
    graph = environment(name)
    binding, cluster = graph.one(BINDING), graph.one("aws:eks/cluster:Cluster")
    for later in (controller(graph), graph.one(TARGETS), graph.one(BALANCER), cluster):
        assert reaches(graph, binding, later), later.name
        assert not reaches(graph, later, binding)
    # The group that EKS made cannot go while another one's rule names it, and would keep the VPC.
    naming = [row for row in graph if row.name in ("load-balancer-to-pods", "load-balancer-pods")]
    assert len(naming) == 2
    assert all(reaches(graph, row, cluster) for row in naming)
    # A public address must be gone before the gateway can.
    assert reaches(graph, graph.one(BALANCER), graph.one("aws:ec2/internetGateway:InternetGateway"))
    assert reaches(graph, controller(graph), graph.one("aws:eks/nodeGroup:NodeGroup"))


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_controller_may_register_targets_and_make_nothing(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    policies = [
        json.loads(row.inputs["policy"])["Statement"]
        for row in graph.of_type("aws:iam/rolePolicy:RolePolicy")
        if row.name.startswith("workloads-load-balancer-controller")
    ]
    assert len(policies) == 1
    changing = [row for row in policies[0] if not all(":Describe" in action for action in row["Action"])]
    assert [(row["Action"], row["Resource"]) for row in changing] == [
        (
            ["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"],
            graph.one(TARGETS).outputs["arn"],
        )
    ]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_controllers_chart_is_pinned_fits_the_system_nodes_and_takes_over_no_service(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    release = controller(graph).inputs
    values, pod = release["values"], system_pod("dev" if stack == "dev" else "prod", "load-balancer-controller")
    assert (release["chart"], release["repositoryOpts"]["repo"]) == (
        "aws-load-balancer-controller",
        "https://aws.github.io/eks-charts",
    )
    assert release["version"].count(".") == 2
    assert values["vpcId"] == graph.one("aws:ec2/vpc:Vpc").id
    assert values["replicaCount"] == pod.replicas
    assert values["resources"]["requests"] == {"cpu": f"{pod.cpu_millicores}m", "memory": f"{pod.memory_mib}Mi"}
    taints = {taint["key"] for taint in graph.one("aws:eks/nodeGroup:NodeGroup").inputs["taints"]}
    assert {row["key"] for row in values["tolerations"]} == taints
    assert values["nodeSelector"] == graph.one("aws:eks/nodeGroup:NodeGroup").inputs["labels"]
    assert values["enableServiceMutatorWebhook"] is False
    assert set(values["controllerConfig"]["featureGates"].values()) == {False}
    # Its webhook may stop new pods: of the API, and of nobody else.
    assert values["podMutatorWebhookConfig"] == {"failurePolicy": "Fail"}
    template = workload(graph, "agent-api").inputs["spec"]["template"]
    assert values["objectSelector"]["matchLabels"] == API_LABELS
    assert API_LABELS.items() <= template["metadata"]["labels"].items()
    role = graph.one("aws:eks/podIdentityAssociation:PodIdentityAssociation", "workloads-load-balancer-controller")
    assert (role.inputs["namespace"], role.inputs["serviceAccount"]) == (
        release["namespace"],
        values["serviceAccount"]["name"],
    )


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_alarms_watch_this_load_balancer_and_no_other(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    whole = {"LoadBalancer": graph.one(BALANCER).outputs["arnSuffix"]}
    group = {**whole, "TargetGroup": graph.one(TARGETS).outputs["arnSuffix"]}
    alarms = {
        row.name.removeprefix("alarms-load-balancer-"): row.inputs
        for row in graph.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
        if row.name.startswith("alarms-load-balancer-")
    }
    assert set(alarms) == {"errors", "failing", "unhealthy", "slow"}
    assert alarms["errors"]["dimensions"] == alarms["slow"]["dimensions"] == whole
    assert alarms["unhealthy"]["dimensions"] == group
    assert (alarms["slow"]["extendedStatistic"], alarms["slow"]["threshold"]) == ("p95", 2)
    assert "statistic" not in alarms["slow"]
    measured = [row["metric"] for row in alarms["failing"]["metricQueries"] if "metric" in row]
    assert {row["metricName"] for row in measured} == {"HTTPCode_Target_5XX_Count", "RequestCount"}
    assert all(row["dimensions"] == whole for row in measured)
