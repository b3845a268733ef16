"""Nodes: managed groups, launch templates and Karpenter's pools; Spot and what may run on it."""

from __future__ import annotations

from collections.abc import Iterator

from policies.check import Subject, check
from policies.properties import NotEvaluated, Properties
from stacks.graph import Resource

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
NODE_CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
CAPACITY = "karpenter.sh/capacity-type"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"


def templates(resource: Resource) -> Iterator[Properties]:
    """What a launch template and an EC2NodeClass say alike; the latter within its spec."""
    properties = Properties(resource.inputs)
    yield properties.part("spec") if resource.type == NODE_CLASS else properties


def volumes(resource: Resource) -> Iterator[Properties]:
    for properties in templates(resource):
        for mapping in properties.parts("blockDeviceMappings"):
            yield mapping.part("ebs")


def spot_pools(resource: Resource) -> Iterator[Properties]:
    """Spot groups and pools only."""
    properties = Properties(resource.inputs)
    if resource.type == NODE_GROUP:
        if properties.text("capacityType") == "SPOT":
            yield properties
    elif "spot" in values(properties, CAPACITY):
        yield properties


def values(pool: Properties, key: str) -> list[str]:
    """What a NodePool's requirement of a label allows."""
    for requirement in pool.parts("spec.template.spec.requirements"):
        if requirement.text("key") == key and requirement.text("operator") == "In":
            return requirement.texts("values")
    return []


def instance_types(pool: Properties) -> list[str]:
    return pool.texts("instanceTypes") or values(pool, INSTANCE_TYPE)


@check(
    "nodes-imdsv2",
    "Instance metadata asks for a session token",
    severity="high",
    types=(TEMPLATE, NODE_CLASS),
    subjects=templates,
    remedy="Set metadataOptions.httpTokens to required.",
    controls={"AWS FSBP": ("EC2.8", "EC2.170"), "SOC 2": ("CC7.2",)},
    references=("CKV_AWS_79", "AWS-0130"),
)
def imdsv2(template: Subject) -> str | None:
    """With version 1 one request forged by a server of ours hands out the node's credentials."""
    tokens = template.properties.text("metadataOptions.httpTokens")
    return None if tokens == "required" else f"metadataOptions.httpTokens is {tokens or 'not set'}"


@check(
    "nodes-hop-limit",
    "Pods do not reach the node's metadata",
    severity="high",
    types=(TEMPLATE, NODE_CLASS),
    subjects=templates,
    remedy="Set metadataOptions.httpPutResponseHopLimit to 1.",
    controls={"SOC 2": ("CC6.3",)},
    references=("CKV_AWS_341",),
)
def hop_limit(template: Subject) -> str | None:
    """A second hop is a pod's network: every pod would hold the node's role."""
    hops = template.properties.number("metadataOptions.httpPutResponseHopLimit")
    return None if hops == 1 else f"metadataOptions.httpPutResponseHopLimit is {hops or 'not set'}"


@check(
    "nodes-disk-encrypted",
    "Node disks are encrypted",
    severity="high",
    types=(TEMPLATE, NODE_CLASS),
    subjects=volumes,
    remedy="Set encrypted on each block device.",
    controls={"AWS FSBP": ("EC2.3", "EC2.181"), "SOC 2": ("CC6.1",)},
    references=("CKV_AWS_8", "AWS-0026"),
)
def disk_encrypted(volume: Subject) -> str | None:
    """Container logs and emptyDirs hold what users wrote, and stay on the disk after the pod."""
    return None if volume.properties.flag("encrypted") else "encrypted is not true"


@check(
    "nodes-disk-gp3",
    "Node disks are gp3",
    severity="low",
    types=(TEMPLATE, NODE_CLASS),
    subjects=volumes,
    remedy="Set volumeType to gp3.",
    controls={"SOC 2": ("A1.2",)},
    references=("CLDBRN-AWS-EBS-1",),
)
def disk_gp3(volume: Subject) -> str | None:
    """gp2's throughput hangs on its size and its burst credits; gp3 costs less."""
    kind = volume.properties.text("volumeType")
    return None if kind == "gp3" else f"volumeType is {kind or 'not set'}"


@check(
    "nodes-no-public-address",
    "Nodes have no public address",
    severity="high",
    types=(TEMPLATE, NODE_CLASS),
    subjects=templates,
    remedy="Leave associatePublicIpAddress unset or false.",
    controls={"AWS FSBP": ("EC2.9", "EC2.25"), "CIS EKS": ("5.4.3",), "SOC 2": ("CC6.6",)},
    references=("CKV_AWS_88",),
)
def no_public_address(template: Subject) -> str | None:
    """A kubelet on the internet is scanned within minutes."""
    if template.properties.flag("associatePublicIPAddress"):
        return "associatePublicIPAddress is true"
    for interface in template.properties.parts("networkInterfaces"):
        if interface.flag("associatePublicIpAddress"):
            return f"{interface.place}.associatePublicIpAddress is true"
    return None


@check(
    "nodes-no-ssh",
    "Nodes take no SSH",
    severity="high",
    types=(NODE_GROUP, TEMPLATE),
    remedy="Remove remoteAccess and keyName; use Session Manager or kubectl debug.",
    controls={"SOC 2": ("CC6.6",)},
    references=("CKV_AWS_100",),
)
def no_ssh(group: Subject) -> str | None:
    """A shared key on every node is a way past every access entry and every audit log."""
    for key in ("remoteAccess", "keyName"):
        if group.properties.has(key):
            return f"{key} is set"
    return None


@check(
    "nodes-ami",
    "Nodes run AL2023 or Bottlerocket",
    severity="medium",
    types=(NODE_GROUP,),
    remedy="Choose an amiType of AL2023 or BOTTLEROCKET.",
    controls={"SOC 2": ("CC7.1",)},
)
def ami(group: Subject) -> str | None:
    """EKS publishes no Amazon Linux 2 image any more for new minors: AL2 nodes get no patches."""
    kind = group.properties.text("amiType") or ""
    return None if kind.startswith(("AL2023", "BOTTLEROCKET")) else f"amiType is {kind or 'not set'}"


@check(
    "nodes-ami-pinned",
    "Karpenter's image is pinned",
    severity="medium",
    types=(NODE_CLASS,),
    remedy="Name a dated alias such as al2023@v20260911 in amiSelectorTerms.",
    controls={"SOC 2": ("CC8.1",)},
)
def ami_pinned(node_class: Subject) -> str | None:
    """With @latest a new image reaches production on the day it is published, node by node, untested."""
    for term in node_class.properties.parts("spec.amiSelectorTerms"):
        if (term.text("alias") or "").endswith("@latest"):
            return f"{term.place}.alias is {term.text('alias')}"
    return None


@check(
    "nodes-spot-diverse",
    "Spot capacity comes from many types of several families",
    severity="high",
    types=(NODE_GROUP, NODE_POOL),
    subjects=spot_pools,
    remedy="List more instance types, of more families.",
    controls={"AWS FSBP": ("AutoScaling.6",), "SOC 2": ("A1.2",)},
    parameters={"minTypes": 15, "minFamilies": 3},
)
def spot_diverse(pool: Subject) -> str | None:
    """Spot takes back a type in a zone at once: with few types it takes back all there is."""
    found = instance_types(pool.properties)
    families = {name.partition(".")[0] for name in found}
    if len(found) < pool.parameters["minTypes"]:
        return f"{len(found)} instance types, fewer than {pool.parameters['minTypes']:g}"
    if len(families) < pool.parameters["minFamilies"]:
        return f"{len(families)} families, fewer than {pool.parameters['minFamilies']:g}"
    return None


@check(
    "nodes-on-demand-base",
    "Some nodes are never taken back",
    severity="high",
    types=("aws:eks/cluster:Cluster",),
    scope="stack",
    remedy="Keep an on-demand managed group of at least that many nodes.",
    controls={"SOC 2": ("A1.2",)},
    parameters={"minNodes": 2},
)
def on_demand_base(cluster: Subject) -> str | None:
    """DNS, Karpenter and the controllers must run while every Spot node is being replaced."""
    groups = [Properties(group.inputs) for group in cluster.graph.of_type(NODE_GROUP)]
    nodes = sum(group.number("scalingConfig.minSize") or 0 for group in groups if group.text("capacityType") != "SPOT")
    least = cluster.parameters["minNodes"]
    return None if nodes >= least else f"{nodes:g} on-demand nodes at least, fewer than {least:g}"


@check(
    "nodes-scaling-bounds",
    "A managed group's sizes are in order and its updates gentle",
    severity="medium",
    types=(NODE_GROUP,),
    remedy="Set minSize ≤ desiredSize ≤ maxSize ≤ the bound, and updateConfig.",
    controls={"SOC 2": ("A1.2",)},
    parameters={"maxNodes": 10},
)
def scaling_bounds(group: Subject) -> str | None:
    """An unbounded group is an unbounded bill; without updateConfig a version change replaces nodes as AWS likes."""
    sizes = [group.properties.number(f"scalingConfig.{name}") for name in ("minSize", "desiredSize", "maxSize")]
    given = [size for size in sizes if size is not None]
    if len(given) < 3 or given != sorted(given):
        return f"scalingConfig minSize, desiredSize, maxSize are {sizes}"
    if given[-1] > group.parameters["maxNodes"]:
        return f"scalingConfig.maxSize={given[-1]:g} is more than {group.parameters['maxNodes']:g}"
    return None if group.properties.has("updateConfig") else "updateConfig is not set"


@check(
    "nodes-pool-bounded",
    "Every Karpenter pool has a limit",
    severity="high",
    types=(NODE_POOL,),
    remedy="Set spec.limits.",
    controls={"SOC 2": ("A1.2",)},
)
def pool_bounded(pool: Subject) -> str | None:
    """One runaway Deployment would otherwise buy nodes until the account's quota ends it."""
    return None if pool.properties.part("spec.limits").content else "spec.limits is not set"


@check(
    "nodes-pool-disruption",
    "Karpenter replaces few nodes at a time, and old ones by themselves",
    severity="medium",
    types=(NODE_POOL,),
    remedy="Set spec.disruption.budgets and spec.template.spec.expireAfter.",
    controls={"SOC 2": ("A1.2", "CC7.1")},
)
def pool_disruption(pool: Subject) -> str | None:
    """Without a budget a new image drains all nodes at once; without expiry a node is never patched."""
    if not list(pool.properties.parts("spec.disruption.budgets")):
        return "spec.disruption.budgets is not set"
    expiry = pool.properties.text("spec.template.spec.expireAfter")
    return None if expiry and expiry != "Never" else f"spec.template.spec.expireAfter is {expiry or 'not set'}"


@check(
    "nodes-base-not-burstable",
    "The base group is not made of burstable instances",
    severity="low",
    types=(NODE_GROUP,),
    remedy="Choose m, c or r types.",
    controls={"SOC 2": ("A1.2",)},
)
def base_not_burstable(group: Subject) -> str | None:
    """A t instance out of credits runs DNS for the whole cluster at a tenth of its speed."""
    burstable = [name for name in group.properties.texts("instanceTypes") if name.startswith("t")]
    return f"instanceTypes holds {', '.join(burstable)}" if burstable else None


@check(
    "nodes-role-minimal",
    "Node roles may only join and pull",
    severity="high",
    types=("aws:iam/rolePolicyAttachment:RolePolicyAttachment",),
    scope="stack",
    subjects=lambda attachment: [Properties(attachment.inputs)],
    remedy="Give the rights to the pod that needs them by Pod Identity.",
    controls={"CIS EKS": ("5.1.3",), "SOC 2": ("CC6.3",)},
    # What EKS and Karpenter ask for (eks/latest/userguide/create-node-role.html), and the registry's pull-through.
    parameters={
        "allowed": [
            "AmazonEKSWorkerNodePolicy",
            "AmazonEKSWorkerNodeMinimalPolicy",
            "AmazonEC2ContainerRegistryReadOnly",
            "AmazonEC2ContainerRegistryPullOnly",
            "AmazonSSMManagedInstanceCore",
        ]
    },
)
def role_minimal(attachment: Subject) -> str | None:
    """Every pod on the node can become the node."""
    roles = attachment.resource.property_dependencies.get("role", ())
    for role in attachment.graph.of_type("aws:iam/role:Role"):
        if role.urn in roles:
            trust = Properties(role.inputs).document("assumeRolePolicy")
            if not any("ec2.amazonaws.com" in str(statement.content) for statement in trust.parts("Statement")):
                return None
    name = (attachment.properties.text("policyArn") or "").rpartition("/")[2]
    return None if name in attachment.parameters["allowed"] else f"policyArn ends with {name}"


@check(
    "nodes-spot-grace",
    "A pod's end fits into the two minutes of a Spot notice",
    severity="high",
    types=("kubernetes:apps/v1:Deployment", "kubernetes:argoproj.io/v1alpha1:Rollout"),
    remedy="Lower terminationGracePeriodSeconds below the bound.",
    controls={"SOC 2": ("A1.2",)},
    parameters={"maxSeconds": 119},
)
def spot_grace(workload: Subject) -> str | None:
    """Two minutes after its notice the instance is gone, whatever the pod still had to write."""
    seconds = workload.properties.number("spec.template.spec.terminationGracePeriodSeconds")
    if seconds is None:
        return None  # Kubernetes' default is 30 s
    if seconds < 0:
        raise NotEvaluated("spec.template.spec.terminationGracePeriodSeconds", "is negative")
    most = workload.parameters["maxSeconds"]
    return None if seconds <= most else f"terminationGracePeriodSeconds={seconds:g} is more than {most:g}"
