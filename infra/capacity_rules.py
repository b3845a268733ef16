"""Rules of capacity: do nodes and addresses add up?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from infra.instances import Allocatable, Shape, allocatable, shape
from infra.problems import Problem
from infra.settings import Settings
from infra.system_pods import needed

SPOT_MINIMUM_TYPES = (
    15  # Karpenter replaces Spot by Spot only among at least 15 types (karpenter.sh/docs/concepts/disruption)
)
SPOT_MINIMUM_FAMILIES = 3  # one family is one capacity pool shape: it dries up at once


def addresses(settings: Settings) -> Iterator[Problem]:
    """Each private subnet holds its share of nodes and pods, also with a zone lost."""
    # Prefix delegation gives a node blocks of 16 addresses: enough for its pods and one warm block; and one address
    # per network interface, of which 4 are enough for 110 pods (docs.aws.amazon.com/eks, prefix mode for Linux).
    workers, zones = settings.nodes.workers, settings.network.zones
    per_node = (math.ceil(workers.max_pods / 16) + 1) * 16 + 4
    nodes = math.ceil((workers.max_nodes + settings.nodes.system.max_size) / max(len(zones) - 1, 1))
    for index, zone in enumerate(zones):
        usable = zone.private.num_addresses - 5  # AWS keeps five in each subnet
        if nodes * per_node > usable:
            yield Problem(
                f"network.zones.{index}.private",
                zone.private,
                f"has {usable} usable addresses, but with a zone lost {nodes} nodes × {per_node} addresses for "
                f"{workers.max_pods} pods each need {nodes * per_node}",
                "Use a larger block, fewer nodes.workers.maxNodes or a lower maxPods.",
            )


def _shapes(field: str, types: tuple[str, ...]) -> Iterator[Problem | Shape]:
    for name in types:
        kind = shape(name)
        if kind is None or (kind.generation < 6 and not name.startswith("t")):
            yield Problem(
                field,
                name,
                "not a t, c, m or r type of generation 6 or later",
                "Choose such a type, for example m7i.xlarge.",
            )
        elif kind.architecture != "amd64":
            yield Problem(
                field,
                name,
                "is arm64 while the image and the node image are amd64",
                "Choose an Intel or AMD type (no g).",
            )
        else:
            yield kind


def known(field: str, types: tuple[str, ...]) -> tuple[list[Shape], list[Problem]]:
    """The shapes of instance types, and what is wrong with the others."""
    results = list(_shapes(field, types))
    return [r for r in results if isinstance(r, Shape)], [r for r in results if isinstance(r, Problem)]


def smallest(shapes: list[Shape], max_pods: int = 110) -> Allocatable:
    """What every node of these shapes has for pods at the least."""
    rooms = [allocatable(kind, max_pods) for kind in shapes]
    return Allocatable(min(r.cpu for r in rooms), min(r.memory_mib for r in rooms), max_pods)


def system_nodes(settings: Settings) -> Iterator[Problem]:
    """The system group works with one node gone."""
    nodes = settings.nodes.system
    shapes, found = known("nodes.system.instanceTypes", nodes.instance_types)
    yield from found
    if shapes and nodes.min_size > 1:
        left = nodes.min_size - 1
        pooler = settings.database.pooler
        cpu, memory = needed(settings.environment, left, pooler.replicas if pooler else 0)
        room = smallest(shapes)
        if cpu > left * room.cpu * 1000 or memory > left * room.memory_mib:
            yield Problem(
                "nodes.system.minSize",
                f"{nodes.min_size} × {min(nodes.instance_types)}",
                f"with one node gone {left * room.cpu * 1000:.0f}m CPU and {left * room.memory_mib:.0f}Mi are left, but "
                f"add-ons, controllers and monitoring ask for {cpu}m and {memory}Mi",
                "Raise minSize or use larger instanceTypes.",
            )
    if not nodes.min_size <= nodes.desired_size <= nodes.max_size:
        yield Problem(
            "nodes.system.desiredSize",
            nodes.desired_size,
            f"must lie between minSize={nodes.min_size} and maxSize={nodes.max_size}",
            "Order them min ≤ desired ≤ max.",
        )
    if nodes.min_size < 2:
        yield Problem(
            "nodes.system.minSize", nodes.min_size, "one node cannot be replaced without an outage", "Set at least 2."
        )


def workers(settings: Settings) -> Iterator[Problem]:
    """The Spot pool is wide enough."""
    workers, field = settings.nodes.workers, "nodes.workers.instanceTypes"
    shapes, found = known(field, workers.instance_types)
    yield from found
    different = len(set(workers.instance_types))
    if different < SPOT_MINIMUM_TYPES:
        yield Problem(
            field, f"{different} types", f"Spot needs at least {SPOT_MINIMUM_TYPES}", "Add types of similar size."
        )
    families = {kind.family for kind in shapes}
    if shapes and len(families) < SPOT_MINIMUM_FAMILIES:
        yield Problem(
            field,
            f"{len(families)} families",
            f"Spot needs at least {SPOT_MINIMUM_FAMILIES}",
            "Add c, m or r families.",
        )
