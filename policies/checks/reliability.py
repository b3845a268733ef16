"""Autoscaling and availability: whether what scales can, and what goes away may."""

from __future__ import annotations

import math
from collections.abc import Iterator

from policies.check import Subject, check
from policies.properties import Properties
from policies.workload_parts import (
    SERVING,
    labels_of,
    main_containers,
    namespace_of,
    pod_of,
    selects,
    targets,
)
from stacks.graph import Graph, Resource

HPA = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
VPA = "kubernetes:autoscaling.k8s.io/v1:VerticalPodAutoscaler"
BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
STATEFUL = (
    "aws:rds/instance:Instance",
    "aws:kms/key:Key",
    "aws:s3/bucket:Bucket",
    "aws:backup/vault:Vault",
    "aws:eks/cluster:Cluster",
    "aws:ec2/vpc:Vpc",
)


def scaled_by(graph: Graph, workload: Resource) -> list[Properties]:
    scalers = graph.of_type(HPA)
    return [Properties(s.inputs) for s in scalers if workload in targets(graph, s, "spec.scaleTargetRef")]


@check(
    "scaling-target-exists",
    "A scaler's target is there and leaves its replicas to it",
    severity="high",
    types=(HPA,),
    scope="stack",
    remedy="Correct scaleTargetRef; remove spec.replicas from the target.",
    controls={"SOC 2": ("A1.2",)},
    references=("KL dangling-horizontalpodautoscaler",),
)
def target_exists(scaler: Subject) -> str | None:
    """With replicas in the program every `pulumi up` sets a scaled service back to the first day's size."""
    found = targets(scaler.graph, scaler.resource, "spec.scaleTargetRef")
    if not found:
        return "spec.scaleTargetRef names nothing of this stack"
    fixed = [target.name for target in found if Properties(target.inputs).has("spec.replicas")]
    return f"{', '.join(fixed)} sets spec.replicas" if fixed else None


@check(
    "scaling-bounds",
    "A scaler has room, and a floor that survives a node",
    severity="high",
    types=(HPA,),
    remedy="Set minReplicas to the bound or more, below maxReplicas.",
    controls={"SOC 2": ("A1.2",)},
    references=("KL hpa-minimum-three-replicas", "Pol hpaMinAvailability", "Pol hpaMaxAvailability"),
    parameters={"minReplicas": 2},
)
def bounds(scaler: Subject) -> str | None:
    """With one replica each node's end is an outage."""
    least, most = (scaler.properties.number(f"spec.{name}") for name in ("minReplicas", "maxReplicas"))
    wanted = scaler.parameters["minReplicas"]
    if least is None or least < wanted:
        return f"spec.minReplicas={least or 1:g} is less than {wanted:g}"
    return None if most is not None and most > least else f"spec.maxReplicas={most or 0:g} is not above minReplicas"


@check(
    "scaling-has-requests",
    "What is scaled by utilization says what it asks for",
    severity="high",
    types=(HPA,),
    scope="stack",
    remedy="Set requests on every container of the target.",
    controls={"SOC 2": ("A1.2",)},
)
def has_requests(scaler: Subject) -> str | None:
    """Utilization is a share of the request: without one the scaler does nothing."""
    for target in targets(scaler.graph, scaler.resource, "spec.scaleTargetRef"):
        for container in main_containers(target):
            if not container.has("resources.requests.cpu"):
                return f"{target.name} {container.place} asks for no CPU"
    return None


@check(
    "scaling-not-twice",
    "HPA and VPA do not act on the same resource",
    severity="high",
    types=(VPA,),
    scope="stack",
    remedy="Let the VPA control memory only, beside an HPA whose memory target is an AverageValue.",
    controls={"SOC 2": ("A1.2",)},
    references=("autoscaler: vertical-pod-autoscaler/docs/known-limitations.md",),
)
def not_twice(scaler: Subject) -> str | None:
    """The VPA raises the request, utilization falls, the HPA removes pods, load per pod rises: round and round."""
    if scaler.properties.text("spec.updatePolicy.updateMode") == "Off":
        return None
    controlled = {
        name
        for policy in scaler.properties.parts("spec.resourcePolicy.containerPolicies")
        for name in policy.texts("controlledResources") or ["cpu", "memory"]
    } or {"cpu", "memory"}
    for target in targets(scaler.graph, scaler.resource, "spec.targetRef"):
        for horizontal in scaled_by(scaler.graph, target):
            both = controlled & set(_by_utilization(horizontal))
            if both:
                return f"an HPA scales {target.name} by utilization of {', '.join(sorted(both))} too"
    return None


def _by_utilization(horizontal: Properties) -> Iterator[str]:
    for metric in horizontal.parts("spec.metrics"):
        for kind in ("resource", "containerResource"):
            if metric.text(f"{kind}.target.type") == "Utilization":
                yield metric.text(f"{kind}.name") or ""


@check(
    "scaling-fits-nodes",
    "The nodes that may be bought hold all replicas that may be asked for",
    severity="high",
    types=("kubernetes:karpenter.k8s.aws/v1:EC2NodeClass",),
    scope="stack",
    remedy="Lower maxReplicas or requests, or raise the pools' limits.",
    controls={"SOC 2": ("A1.2",)},
)
def fits_nodes(node_class: Subject) -> str | None:
    """At the top of its range the service would wait for nodes that the pools may not buy."""
    from infra.instances import allocatable, shape
    from policies.checks.nodes import INSTANCE_TYPE, NODE_POOL, values

    graph = node_class.graph
    asked = 0.0
    for scaler in graph.of_type(HPA):
        most = Properties(scaler.inputs).number("spec.maxReplicas") or 0
        for target in targets(graph, scaler, "spec.scaleTargetRef"):
            asked += most * sum(cpu(container.text("resources.requests.cpu")) for container in main_containers(target))
    there = 0.0
    for pool in graph.of_type(NODE_POOL):
        given = Properties(pool.inputs)
        shapes = [shape(name) for name in values(given, INSTANCE_TYPE)]
        smallest = min((allocatable(kind).cpu for kind in shapes if kind), default=0.0)
        there += (given.number("spec.limits.nodes") or 0) * smallest
    return None if asked <= there else f"{asked:g} CPUs may be asked for, {there:g} are there"


def cpu(quantity: str | None) -> float:
    """CPUs of a Kubernetes quantity."""
    if not quantity:
        return 0.0
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


@check(
    "budget-lets-drain",
    "What has several replicas has a disruption budget that allows one to go",
    severity="high",
    types=SERVING,
    scope="stack",
    remedy="Add a PodDisruptionBudget with maxUnavailable of at least 1.",
    controls={"SOC 2": ("A1.2",)},
    references=("Pol missingPodDisruptionBudget", "Pol pdbMinAvailableGreaterThanHPAMinReplicas"),
)
def lets_drain(workload: Subject) -> str | None:
    """Without one a drain takes all pods at once; with one that allows none a node never drains."""
    graph = workload.graph
    floor = max(
        [scaler.number("spec.minReplicas") or 1 for scaler in scaled_by(graph, workload.resource)]
        or [workload.properties.number("spec.replicas") or 1]
    )
    if floor < 2:
        return None
    labels, namespace = labels_of(workload.resource), namespace_of(workload.resource)
    for budget in graph.of_type(BUDGET):
        given = Properties(budget.inputs)
        if namespace_of(budget) == namespace and selects(given.part("spec.selector"), labels):
            return None if _allowed(given, floor) >= 1 else f"{budget.name} allows no pod to go"
    return "no PodDisruptionBudget selects it"


def _allowed(budget: Properties, replicas: float) -> float:
    """Pods that may be away; percentages are rounded up (kubernetes.io, Specifying a Disruption Budget)."""
    for key, of_all in (("maxUnavailable", False), ("minAvailable", True)):
        value = budget.part("spec").content.get(key)
        if value is not None:
            text = str(value)
            count = math.ceil(float(text[:-1]) / 100 * replicas) if text.endswith("%") else float(text)
            return replicas - count if of_all else count
    return 0


@check(
    "replicas-spread",
    "Replicas are spread over zones",
    severity="medium",
    types=SERVING,
    remedy="Add topologySpreadConstraints over topology.kubernetes.io/zone.",
    controls={"SOC 2": ("A1.2",)},
    references=("Pol topologySpreadConstraint", "KL no-anti-affinity"),
)
def spread(workload: Subject) -> str | None:
    """The scheduler otherwise fills one node, and one zone, first."""
    keys = [c.text("topologyKey") for c in pod_of(workload.resource).parts("topologySpreadConstraints")]
    return None if "topology.kubernetes.io/zone" in keys else "no topologySpreadConstraint over zones"


@check(
    "replicas-two",
    "What serves has at least two replicas",
    severity="medium",
    types=SERVING,
    scope="stack",
    remedy="Set replicas or a scaler's minReplicas to 2 or more.",
    controls={"SOC 2": ("A1.2",)},
    references=("Pol deploymentMissingReplicas",),
)
def two(workload: Subject) -> str | None:
    """One replica is away for every update of its node."""
    if scaled_by(workload.graph, workload.resource):
        return None  # scaling-bounds looks at its floor
    replicas = workload.properties.number("spec.replicas") or 1
    return None if replicas >= 2 else f"spec.replicas={replicas:g}"


@check(
    "stateful-protected",
    "What cannot be made again is protected from a wrong plan",
    severity="high",
    types=STATEFUL,
    remedy="Set protect; `teardown` opens it.",
    controls={"SOC 2": ("C1.1",)},
)
def stateful_protected(resource: Subject) -> str | None:
    """A renamed resource is a delete and a create to the engine."""
    options = resource.resource.options
    if options.delete_before_replace:
        return "deleteBeforeReplace is set"
    return None if options.protect or options.retain_on_delete else "protect is not set"


@check(
    "storage-claims-bounded",
    "Volumes of pods name their class",
    severity="low",
    types=(CLAIM, "kubernetes:apps/v1:StatefulSet"),
    subjects=lambda r: (
        [t.part("spec") for t in Properties(r.inputs).parts("spec.volumeClaimTemplates")]
        if r.type != CLAIM
        else [Properties(r.inputs).part("spec")]
    ),
    remedy="Set storageClassName to an encrypted gp3 class.",
    controls={"SOC 2": ("CC6.1",)},
)
def claims_bounded(claim: Subject) -> str | None:
    """The cluster's default class may be gp2, or not encrypted, or gone."""
    return None if claim.properties.text("storageClassName") else "storageClassName is not set"
