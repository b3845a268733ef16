"""What the program builds, read from the captured graph of both environments: no engine, no cloud."""

from __future__ import annotations

import json
from ipaddress import ip_network
from itertools import pairwise

import botocore.session
import pytest
from botocore.model import StringShape

from stacks.graph import UNKNOWN, Graph, Resource
from tests.environments import graph_of, pod_of, workload

STACKS = ["dev", "prod"]
VPC, SUBNET = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
CLUSTER, ADD_ON, NODE_GROUP = "aws:eks/cluster:Cluster", "aws:eks/addon:Addon", "aws:eks/nodeGroup:NodeGroup"
DATABASE, CACHE = "aws:rds/instance:Instance", "aws:elasticache/replicationGroup:ReplicationGroup"
BINDING = "kubernetes:elbv2.k8s.aws/v1beta1:TargetGroupBinding"


def reaches(graph: Graph, later: Resource, earlier: Resource) -> bool:
    """Whether ``later`` is created after ``earlier`` (and so destroyed before it), through any chain."""
    seen: set[str] = set()
    waiting = [later.urn]
    while waiting:
        urn = waiting.pop()
        if urn == earlier.urn:
            return True
        if urn in seen or "pulumi:pulumi:Stack" in urn:
            continue
        seen.add(urn)
        resource = graph.by_urn(urn)
        waiting += [*resource.dependencies, *filter(None, [resource.options.provider])]
    return False


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_has_a_parent_and_an_explicit_provider_of_its_package(stack: str) -> None:
    for resource in graph_of(stack):
        assert resource.parent, resource.urn
        if resource.custom and resource.package != "pulumi":
            assert f"pulumi:providers:{resource.package}::" in resource.options.provider, resource.urn


@pytest.mark.parametrize("stack", STACKS)
def test_every_urn_is_unique_and_two_captures_are_equal(stack: str) -> None:
    urns = [resource.urn for resource in graph_of(stack)]
    assert len(urns) == len(set(urns))
    from tests.environments import _captured  # pyright: ignore[reportPrivateUsage] - past the cache, on purpose

    again = _captured.__wrapped__(stack, "{}", True, True)
    assert {r.urn: r for r in again} == {r.urn: r for r in graph_of(stack)}


@pytest.mark.parametrize("stack", STACKS)
def test_outputs_that_only_aws_can_give_are_unknown_in_a_preview_and_known_after_an_update(stack: str) -> None:
    preview, update = graph_of(stack), graph_of(stack, preview=False)
    assert preview.exports["databaseAddress"] is UNKNOWN
    assert str(update.exports["databaseAddress"]).endswith(".us-east-1.rds.amazonaws.com")
    assert {r.urn for r in preview} == {r.urn for r in update} != set()
    assert not any(value is UNKNOWN for r in update for value in r.inputs.values())


@pytest.mark.parametrize("stack", STACKS)
def test_the_cluster_lets_nobody_in_but_the_roles_that_the_settings_name(stack: str) -> None:
    graph = graph_of(stack)
    cluster = graph.one(CLUSTER).inputs
    assert cluster["version"] == "1.36"
    assert cluster["accessConfig"] == {
        "authenticationMode": "API",
        "bootstrapClusterCreatorAdminPermissions": False,
    }
    assert cluster["upgradePolicy"] == {"supportType": "STANDARD"}
    assert cluster["vpcConfig"]["publicAccessCidrs"] == ["203.0.113.0/24"]
    assert cluster["vpcConfig"]["endpointPrivateAccess"] is True
    assert sorted(cluster["enabledClusterLogTypes"]) == [
        "api",
        "audit",
        "authenticator",
        "controllerManager",
        "scheduler",
    ]
    admins = [
        r.inputs["principalArn"]
        for r in graph.of_type("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
        if r.inputs["policyArn"].endswith("AmazonEKSClusterAdminPolicy")
    ]
    expected = [f"arn:aws:iam::123456789012:role/agents-deploy-{stack}"]
    if stack == "prod":
        expected.append("arn:aws:iam::123456789012:role/agents-break-glass")
    assert sorted(admins) == sorted(expected)


@pytest.mark.parametrize("stack", STACKS)
def test_no_kubernetes_object_is_made_before_somebody_may_make_it(stack: str) -> None:
    graph = graph_of(stack)
    grants = graph.of_type("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
    for resource in graph:
        if resource.package == "kubernetes":
            assert all(reaches(graph, resource, grant) for grant in grants), resource.urn


@pytest.mark.parametrize("stack", STACKS)
def test_networking_add_ons_come_before_nodes_and_the_others_after(stack: str) -> None:
    graph = graph_of(stack)
    group = graph.one(NODE_GROUP)
    order = {r.inputs["addonName"]: "before" if reaches(graph, group, r) else "after" for r in graph.of_type(ADD_ON)}
    assert order == {
        "vpc-cni": "before",
        "kube-proxy": "before",
        "eks-pod-identity-agent": "before",
        "coredns": "after",
        "metrics-server": "after",
        "aws-ebs-csi-driver": "after",
        "eks-node-monitoring-agent": "after",
        "aws-secrets-store-csi-driver-provider": "after",
    }
    cni = json.loads(
        next(r for r in graph.of_type(ADD_ON) if r.inputs["addonName"] == "vpc-cni").inputs["configurationValues"]
    )
    assert cni["enableNetworkPolicy"] == "true"  # else every NetworkPolicy is accepted and none is enforced


@pytest.mark.parametrize("stack", STACKS)
def test_a_destroy_goes_from_workloads_over_pools_and_controller_to_nodes_cluster_and_vpc(stack: str) -> None:
    graph = graph_of(stack)
    chain = [
        workload(graph, "agent-api"),
        graph.one(BINDING),
        graph.one("kubernetes:karpenter.sh/v1:NodePool", "pools-spot"),
        graph.one("kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"),
        graph.one("kubernetes:helm.sh/v3:Release", "karpenter"),
        graph.one(NODE_GROUP),
        graph.one("aws:eks/addon:Addon", "cluster-vpc-cni"),
        graph.one(CLUSTER),
        graph.one(VPC),
    ]
    for sooner, later in pairwise(chain):
        assert reaches(graph, sooner, later), f"{sooner.name} must go before {later.name}"
        assert not reaches(graph, later, sooner)


@pytest.mark.parametrize("stack", STACKS)
def test_no_way_out_of_a_node_is_taken_away_while_karpenter_still_drains(stack: str) -> None:
    graph = graph_of(stack)
    release, ways = graph.one("kubernetes:helm.sh/v3:Release", "karpenter"), 0
    for resource in graph:
        if resource.kind in ("Route", "RouteTableAssociation", "NatGateway", "InternetGateway", "VpcEndpoint", "Tag"):
            assert reaches(graph, release, resource), resource.name
            ways += 1
    assert ways > 10


@pytest.mark.parametrize("stack", STACKS)
def test_a_pool_has_time_to_drain_before_its_deletion_is_given_up(stack: str) -> None:
    pools = [r for r in graph_of(stack) if r.kind in ("NodePool", "EC2NodeClass")]
    assert {pool.options.delete_timeout for pool in pools} == {"40m"}


@pytest.mark.parametrize("stack", STACKS)
def test_both_pools_together_stay_within_the_number_of_nodes_that_addresses_were_counted_for(stack: str) -> None:
    pools = graph_of(stack).of_type("kubernetes:karpenter.sh/v1:NodePool")
    assert sum(int(pool.inputs["spec"]["limits"]["nodes"]) for pool in pools) == {"dev": 4, "prod": 33}[stack]


@pytest.mark.parametrize("stack", STACKS)
def test_every_add_on_with_pods_of_its_own_tolerates_the_system_taint(stack: str) -> None:
    # vpc-cni, kube-proxy and the pod-identity agent tolerate everything: they run before any node is ready.
    everywhere = {"vpc-cni", "kube-proxy", "eks-pod-identity-agent"}
    for add_on in graph_of(stack).of_type(ADD_ON):
        if add_on.inputs["addonName"] not in everywhere:
            values = add_on.inputs["configurationValues"]
            assert "CriticalAddonsOnly" in values or '[{"operator": "Exists"}]' in values, add_on.name


def test_the_node_monitoring_agent_gets_no_value_that_its_schema_refuses() -> None:
    # additionalProperties: false (aws/eks-node-monitoring-agent charts/configuration.schema.json)
    add_ons = {row.inputs["addonName"]: row.inputs for row in graph_of("dev").of_type(ADD_ON)}
    values = json.loads(add_ons["eks-node-monitoring-agent"]["configurationValues"])
    assert set(values) <= {"global", "nodeAgent", "dcgmAgent", "extraObjects"}


def test_dev_has_one_nat_gateway_and_prod_one_in_every_zone() -> None:
    nats = {stack: graph_of(stack).of_type("aws:ec2/natGateway:NatGateway") for stack in STACKS}
    assert {stack: len(rows) for stack, rows in nats.items()} == {"dev": 1, "prod": 3}


@pytest.mark.parametrize("stack", STACKS)
def test_subnets_lie_in_the_vpc_apart_from_each_other_and_hand_out_no_public_address(stack: str) -> None:
    graph = graph_of(stack)
    vpc = ip_network(graph.one(VPC).inputs["cidrBlock"])
    blocks = [ip_network(subnet.inputs["cidrBlock"]) for subnet in graph.of_type(SUBNET)]
    assert len(blocks) == 4 * (2 if stack == "dev" else 3)
    assert all(block.subnet_of(vpc) for block in blocks)  # type: ignore[arg-type] - both are IPv4
    assert not any(a.overlaps(b) for i, a in enumerate(blocks) for b in blocks[:i])
    assert not any(subnet.inputs["mapPublicIpOnLaunch"] for subnet in graph.of_type(SUBNET))


@pytest.mark.parametrize("stack", STACKS)
def test_data_and_endpoint_subnets_have_no_way_to_the_internet(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    open_tables = {r.inputs["routeTableId"] for r in graph.of_type("aws:ec2/route:Route")}
    table_of = {
        r.inputs["subnetId"]: r.inputs["routeTableId"]
        for r in graph.of_type("aws:ec2/routeTableAssociation:RouteTableAssociation")
    }
    for subnet in graph.of_type(SUBNET):
        closed = table_of[subnet.id] not in open_tables
        assert closed == ("-data-" in subnet.name or "-endpoints-" in subnet.name), subnet.name


@pytest.mark.parametrize("stack", STACKS)
def test_no_security_group_but_the_load_balancers_is_open_to_the_world_and_stores_admit_the_cluster_only(
    stack: str,
) -> None:
    graph = graph_of(stack, preview=False)
    cluster_group = graph.one(CLUSTER).outputs["vpcConfig"]["clusterSecurityGroupId"]
    rules = {r.name: r.inputs for r in graph.of_type(INGRESS)}
    opened = {name for name, rule in rules.items() if str(rule.get("cidrIpv4", "")).endswith("/0")}
    assert opened == ({"load-balancer-443", "load-balancer-80"} if stack == "prod" else set())
    for store, port in (("database", 5432), ("cache", 6379)):
        assert rules[store]["referencedSecurityGroupId"] == cluster_group
        assert (rules[store]["fromPort"], rules[store]["toPort"]) == (port, port)
    [out] = graph.of_type("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    assert out.inputs["referencedSecurityGroupId"] == cluster_group
    # Rules are resources of their own here; one inside a group, or of the old kind, would escape these checks.
    for group in graph.of_type("aws:ec2/securityGroup:SecurityGroup"):
        assert not {"ingress", "egress"} & set(group.inputs), group.name
    assert not graph.of_type("aws:ec2/securityGroupRule:SecurityGroupRule")
    assert graph.one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup").inputs.get("ingress") is None


@pytest.mark.parametrize("stack", STACKS)
def test_the_database_is_encrypted_private_and_keeps_its_master_password_from_us(stack: str) -> None:
    database = graph_of(stack).one(DATABASE)
    inputs = database.inputs
    assert inputs["manageMasterUserPassword"] is True
    assert "password" not in inputs
    assert inputs["storageEncrypted"] is True
    assert inputs["publiclyAccessible"] is False
    assert inputs["engineVersion"] == "18"
    assert inputs["multiAz"] is (stack == "prod")
    assert inputs["deletionProtection"] is (stack == "prod")
    assert inputs["skipFinalSnapshot"] is (stack == "dev")
    assert database.options.protect is (stack == "prod")


@pytest.mark.parametrize("stack", STACKS)
def test_every_valkey_takes_tls_only_and_a_user_of_its_own_by_iam(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    users = {r.inputs["userId"]: r.inputs for r in graph.of_type("aws:elasticache/user:User")}
    of_group = {
        r.inputs["userGroupId"]: r.inputs["userIds"] for r in graph.of_type("aws:elasticache/userGroup:UserGroup")
    }
    connected = json.loads(graph.one("aws:iam/rolePolicy:RolePolicy", "workloads-service-service").inputs["policy"])
    reached = next(row for row in connected["Statement"] if row["Action"] == "elasticache:Connect")["Resource"]
    for group in graph.of_type(CACHE):
        cache = group.inputs
        assert cache["transitEncryptionEnabled"] is True
        assert cache["transitEncryptionMode"] == "required"
        assert cache["atRestEncryptionEnabled"] is True
        # Valkey switches its default user off by itself, so a group has no other than the service's.
        assert of_group[cache["userGroupIds"][0]] == [f"{cache['replicationGroupId']}-agent"]
        user = users[f"{cache['replicationGroupId']}-agent"]
        assert user["authenticationMode"] == {"type": "iam"}
        assert user["userId"] == user["userName"]
        assert user["accessString"].endswith("-@dangerous")
        assert group.outputs["arn"] in reached
    assert {row["logType"] for row in graph.of_type(CACHE)[0].inputs["logDeliveryConfigurations"]} == {
        "slow-log",
        "engine-log",
    }


def test_streams_are_never_evicted_and_prod_caches_apart_from_them() -> None:
    def policies(graph: Graph) -> dict[str, str]:
        parameters = {
            r.outputs["name"]: r.inputs["parameters"]
            for r in graph.of_type("aws:elasticache/parameterGroup:ParameterGroup")
        }
        return {r.name: parameters[r.inputs["parameterGroupName"]][0]["value"] for r in graph.of_type(CACHE)}

    dev, prod = graph_of("dev", preview=False), graph_of("prod", preview=False)
    assert policies(dev) == {"cache": "noeviction"}
    assert policies(prod) == {"cache": "noeviction", "cache-lru": "allkeys-lru"}
    assert dev.exports["cacheUrl"] == dev.exports["streamsUrl"]  # one group serves both
    assert prod.exports["streamsUrl"].startswith("rediss://agents-prod-agent@master.agents-prod.")
    assert prod.exports["cacheUrl"].startswith("rediss://agents-prod-lru-agent@master.agents-prod-lru.")
    assert [r.inputs["numCacheClusters"] for r in dev.of_type(CACHE)] == [1]
    assert [r.inputs["numCacheClusters"] for r in prod.of_type(CACHE)] == [2, 2]
    # What is evicted at any time needs neither a guard nor a copy.
    evicting = prod.one(CACHE, "cache-lru")
    assert evicting.options.protect is False
    assert evicting.inputs["snapshotRetentionLimit"] == 0
    assert prod.one(CACHE, "cache").options.protect is True


@pytest.mark.parametrize("stack", STACKS)
def test_pods_are_woken_through_the_group_that_never_evicts_and_may_sign_in_there(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    env = {row["name"]: row["value"] for row in pod_of(graph, "agent-workers")["containers"][0]["env"]}
    streams = graph.one(CACHE, "cache")
    assert env["AGENT_VALKEY_URL"] == graph.exports["streamsUrl"]
    assert streams.outputs["primaryEndpointAddress"] in env["AGENT_VALKEY_URL"]
    # What an IAM token is signed for: the group, and its user as the URL has it.
    assert env["AGENT_VALKEY_IAM_CACHE"] == streams.inputs["replicationGroupId"]
    [user] = (row for row in graph.of_type("aws:elasticache/user:User") if row.name == "cache-agent")
    assert f"//{user.inputs['userName']}@" in env["AGENT_VALKEY_URL"]


@pytest.mark.parametrize("stack", STACKS)
def test_every_node_of_every_valkey_has_its_alarms_and_a_full_evicting_one_rings_none(stack: str) -> None:
    graph = graph_of(stack)
    rung: dict[str, set[str]] = {}
    for alarm in graph.of_type("aws:cloudwatch/metricAlarm:MetricAlarm"):
        if alarm.inputs.get("namespace") == "AWS/ElastiCache":
            rung.setdefault(alarm.inputs["dimensions"]["CacheClusterId"], set()).add(alarm.inputs["metricName"])
    nodes = {
        f"{r.inputs['replicationGroupId']}-{number:03d}": r.name
        for r in graph.of_type(CACHE)
        for number in range(1, r.inputs["numCacheClusters"] + 1)
    }
    assert set(rung) == set(nodes)
    for node, group in nodes.items():
        assert ("DatabaseMemoryUsagePercentage" in rung[node]) == (group == "cache")
        assert {"EngineCPUUtilization", "TrafficManagementActive"} <= rung[node]


@pytest.mark.parametrize("stack", STACKS)
def test_nodes_answer_imdsv2_at_one_hop_from_encrypted_disks(stack: str) -> None:
    graph = graph_of(stack)
    template = graph.one("aws:ec2/launchTemplate:LaunchTemplate").inputs
    assert template["metadataOptions"]["httpTokens"] == "required"
    assert template["metadataOptions"]["httpPutResponseHopLimit"] == 1
    node_class = graph.one("kubernetes:karpenter.k8s.aws/v1:EC2NodeClass").inputs["spec"]
    assert node_class["metadataOptions"]["httpTokens"] == "required"
    assert node_class["metadataOptions"]["httpPutResponseHopLimit"] == 1
    disks = [template["blockDeviceMappings"][0]["ebs"], node_class["blockDeviceMappings"][0]["ebs"]]
    assert [str(disk["encrypted"]).lower() for disk in disks] == ["true", "true"]
    assert "latest" not in node_class["amiSelectorTerms"][0]["alias"]


@pytest.mark.parametrize("stack", STACKS)
def test_system_nodes_are_on_demand_and_tainted_and_the_spot_pool_has_fifteen_types(stack: str) -> None:
    graph = graph_of(stack)
    group = graph.one(NODE_GROUP).inputs
    assert group["capacityType"] == "ON_DEMAND"
    assert group["taints"] == [{"key": "CriticalAddonsOnly", "value": "true", "effect": "NO_SCHEDULE"}]
    requirements = {
        pool.name: {row["key"]: row["values"] for row in pool.inputs["spec"]["template"]["spec"]["requirements"]}
        for pool in graph.of_type("kubernetes:karpenter.sh/v1:NodePool")
    }
    assert requirements["pools-spot"]["karpenter.sh/capacity-type"] == ["spot"]
    assert requirements["pools-on-demand"]["karpenter.sh/capacity-type"] == ["on-demand"]
    assert len(requirements["pools-spot"]["node.kubernetes.io/instance-type"]) >= 15
    domains = [requirements[name]["capacity-spread"] for name in ("pools-on-demand", "pools-spot")]
    assert [len(values) for values in domains] == [1, 3]  # one domain in four is on demand
    assert not set(domains[0]) & set(domains[1])


@pytest.mark.parametrize("stack", STACKS)
def test_every_pool_is_bounded_ages_out_and_is_renewed_a_few_nodes_at_a_time(stack: str) -> None:
    graph = graph_of(stack)
    for pool in graph.of_type("kubernetes:karpenter.sh/v1:NodePool"):
        spec = pool.inputs["spec"]
        assert int(spec["limits"]["nodes"]) >= 1
        assert spec["disruption"]["budgets"] == [{"nodes": "10%"}]
        assert spec["template"]["spec"]["expireAfter"] == "336h"
    # Karpenter would count the addresses of interfaces, where the CNI hands out prefixes.
    node_class = graph.one("kubernetes:karpenter.k8s.aws/v1:EC2NodeClass").inputs["spec"]
    cni = next(r for r in graph.of_type(ADD_ON) if r.inputs["addonName"] == "vpc-cni").inputs["configurationValues"]
    assert node_class["kubelet"]["maxPods"] == 110
    assert json.loads(cni)["env"]["ENABLE_PREFIX_DELEGATION"] == "true"


@pytest.mark.parametrize("stack", STACKS)
def test_exactly_one_security_group_and_the_private_subnets_carry_the_discovery_tag(stack: str) -> None:
    graph = graph_of(stack)
    tagged = [r for r in graph.of_type("aws:ec2/tag:Tag") if r.inputs["key"] == "karpenter.sh/discovery"]
    groups = [
        r
        for r in graph.of_type("aws:ec2/securityGroup:SecurityGroup")
        if "karpenter.sh/discovery" in r.inputs.get("tags", {})
    ]
    assert (len(tagged), groups) == (1, [])
    subnets = [r.name for r in graph.of_type(SUBNET) if "karpenter.sh/discovery" in r.inputs["tags"]]
    assert len(subnets) == (2 if stack == "dev" else 3)
    assert all("-private-" in name for name in subnets)


def test_the_vault_rings_the_topic_that_may_be_rung_by_it_and_with_events_that_exist() -> None:
    graph = graph_of("prod", preview=False)
    topic = graph.one("aws:sns/topic:Topic", "alerts").outputs["arn"]
    rung = graph.one("aws:backup/vaultNotifications:VaultNotifications").inputs
    assert rung["snsTopicArn"] == topic
    policy = json.loads(graph.one("aws:sns/topicPolicy:TopicPolicy").inputs["policy"])
    assert "backup.amazonaws.com" in policy["Statement"][0]["Principal"]["Service"]
    known = botocore.session.get_session().get_service_model("backup").shape_for("BackupVaultEvent")
    assert isinstance(known, StringShape)
    assert set(rung["backupVaultEvents"]) <= set(known.enum)


def test_without_an_image_everything_but_the_service_is_built_and_the_next_step_is_named() -> None:
    graph = graph_of("dev", image=False)
    kinds = {resource.kind for resource in graph}
    assert not kinds & {"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "TargetGroupBinding", "Job"}
    assert {"Cluster", "NodePool", "Namespace", "Release", "TargetGroup"} <= kinds
    assert "service.image" in graph.exports["next"]


def test_teardown_opens_every_gate_of_prod_at_once() -> None:
    shut, opened = graph_of("prod"), graph_of("prod", {"teardown": "true"})
    assert any(r.options.protect for r in shut)
    assert not any(r.options.protect or r.options.retain_on_delete for r in opened)
    gates = {CLUSTER: "deletionProtection", DATABASE: "deletionProtection"}
    assert all(shut.one(type_).inputs[gate] and not opened.one(type_).inputs[gate] for type_, gate in gates.items())
    assert opened.one(DATABASE).inputs["skipFinalSnapshot"] is True


@pytest.mark.parametrize("stack", STACKS)
def test_physical_names_are_within_the_limits_of_aws(stack: str) -> None:
    limits = {DATABASE: ("identifier", 63), CACHE: ("replicationGroupId", 40), CLUSTER: ("name", 100)}
    graph = graph_of(stack)
    for type_, (key, most) in limits.items():
        assert all(len(resource.inputs[key]) <= most for resource in graph.of_type(type_))
    # Auto-named roles get the logical name, a hyphen and seven characters; IAM allows 64.
    assert all(len(role.name) + 8 <= 64 for role in graph.of_type("aws:iam/role:Role"))


@pytest.mark.parametrize("stack", STACKS)
def test_inline_policies_fit_into_iams_limit_for_a_role(stack: str) -> None:
    sizes: dict[str, int] = {}
    for policy in graph_of(stack, preview=False).of_type("aws:iam/rolePolicy:RolePolicy"):
        document = json.dumps(json.loads(policy.inputs["policy"]), separators=(",", ":"))
        sizes[policy.inputs["role"]] = sizes.get(policy.inputs["role"], 0) + len(document)
    assert sizes
    assert max(sizes.values()) <= 10_240  # IAM quota: all inline policies of a role together, without white space
