"""Rules over more than one setting. Each yields problems with the remedy; none raises, so a reader sees all at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import combinations

from infra.instances import Allocatable, Shape, allocatable, max_connections, shape
from infra.problems import Problem
from infra.quantities import mebibytes, millicores
from infra.settings import Settings
from infra.versions import KUBERNETES_SUPPORT, kubernetes_support

WORLD = IPv4Network("0.0.0.0/0")
SPOT_MINIMUM_TYPES = (
    15  # Karpenter replaces Spot by Spot only among at least 15 types (karpenter.sh/docs/concepts/disruption)
)
SPOT_MINIMUM_FAMILIES = 3  # one family is one capacity pool shape: it dries up at once
ROLLOUT_SURGE = 0.25  # Deployment default maxSurge: old and new pods hold connections together


def problems(settings: Settings) -> Iterator[Problem]:
    """Every broken rule of a settings object whose single fields are valid."""
    for rule in (_network, _cluster, _system_nodes, _workers, _service, _connections, _storage, _production):
        yield from rule(settings)


def _network(settings: Settings) -> Iterator[Problem]:
    network = settings.network
    subnets: list[tuple[str, IPv4Network]] = []
    for index, zone in enumerate(network.zones):
        here = f"network.zones.{index}"
        if not zone.name.startswith(settings.region):
            yield Problem(f"{here}.name", zone.name, f"is not a zone of region {settings.region}", "Name its zones.")
        for kind in ("public", "private", "data", "endpoints"):
            block: IPv4Network = getattr(zone, kind)
            subnets.append((f"{here}.{kind}", block))
            if not block.subnet_of(network.cidr):
                yield Problem(f"{here}.{kind}", block, f"lies outside network.cidr={network.cidr}", "Move it inside.")
            if block.prefixlen > 28:
                yield Problem(f"{here}.{kind}", block, "AWS allows no subnet smaller than /28", "Use a larger block.")
    for (one, first), (other, second) in combinations(subnets, 2):
        if first.overlaps(second):
            yield Problem(other, second, f"overlaps {one}={first}", "Give each subnet a block of its own.")
    if not 16 <= network.cidr.prefixlen <= 28:
        yield Problem("network.cidr", network.cidr, "AWS allows a VPC from /16 to /28", "Choose a block of that size.")
    names = [zone.name for zone in network.zones]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem("network.zones", name, "the zone is listed twice", "List each zone once.")


def _cluster(settings: Settings) -> Iterator[Problem]:
    cluster = settings.cluster
    if kubernetes_support(cluster.version) is None:
        known = ", ".join(row.version for row in KUBERNETES_SUPPORT)
        yield Problem("cluster.version", cluster.version, "its support dates are unknown here", f"Use one of {known}.")
    if cluster.public_endpoint and not cluster.public_access_cidrs:
        yield Problem(
            "cluster.publicAccessCidrs",
            "[]",
            "a public endpoint must name who may reach it",
            "List your office or VPN ranges, or set cluster.publicEndpoint: false once a runner is inside the VPC.",
        )
    for block in cluster.public_access_cidrs:
        if block == WORLD:
            yield Problem(
                "cluster.publicAccessCidrs", block, "opens the API to everybody", "List your office or VPN ranges."
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


def _known(field: str, types: tuple[str, ...]) -> tuple[list[Shape], list[Problem]]:
    results = list(_shapes(field, types))
    return [r for r in results if isinstance(r, Shape)], [r for r in results if isinstance(r, Problem)]


def _smallest(shapes: list[Shape], max_pods: int = 110) -> Allocatable:
    rooms = [allocatable(kind, max_pods) for kind in shapes]
    return Allocatable(min(r.cpu for r in rooms), min(r.memory_mib for r in rooms), max_pods)


def _system_nodes(settings: Settings) -> Iterator[Problem]:
    nodes = settings.nodes.system
    _, found = _known("nodes.system.instanceTypes", nodes.instance_types)
    yield from found
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


def _workers(settings: Settings) -> Iterator[Problem]:
    workers, field = settings.nodes.workers, "nodes.workers.instanceTypes"
    shapes, found = _known(field, workers.instance_types)
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


def _service(settings: Settings) -> Iterator[Problem]:
    service, scaling, bounds = settings.service, settings.service.autoscaling, settings.service.vertical
    if scaling.min_replicas > scaling.max_replicas:
        yield Problem(
            "service.autoscaling.minReplicas",
            scaling.min_replicas,
            f"exceeds maxReplicas={scaling.max_replicas}",
            "Lower minReplicas or raise maxReplicas.",
        )
    ranges = (
        ("service.cpuRequest", service.cpu_request, "cpuLimit", service.cpu_limit, millicores, False),
        ("service.memoryRequest", service.memory_request, "memoryLimit", service.memory_limit, mebibytes, False),
        ("service.vertical.minCpu", bounds.min_cpu, "maxCpu", bounds.max_cpu, millicores, True),
        ("service.vertical.minMemory", bounds.min_memory, "maxMemory", bounds.max_memory, mebibytes, True),
    )
    for field, low, other, high, number, strict in ranges:
        if number(low) > number(high) or (strict and number(low) == number(high)):
            rule = f"must be {'below' if strict else 'at most'} {other}={high}"
            yield Problem(field, low, rule, f"Lower it or raise {other}.")
    shapes, _ = _known("", settings.nodes.workers.instance_types)
    if not shapes:
        return
    room = _smallest(shapes, settings.nodes.workers.max_pods)
    for field, value, need, have, unit in (
        ("service.cpuLimit", service.cpu_limit, millicores(service.cpu_limit), room.cpu * 1000, "m CPU"),
        ("service.memoryLimit", service.memory_limit, mebibytes(service.memory_limit), room.memory_mib, "Mi memory"),
    ):
        if need > have:
            yield Problem(
                field,
                value,
                f"does not fit the smallest worker node, which leaves {have:.0f}{unit} for pods",
                "Lower the limit or drop the smallest type from nodes.workers.instanceTypes.",
            )
            return
    per_node = min(
        room.cpu * 1000 // millicores(service.cpu_request),
        room.memory_mib // mebibytes(service.memory_request),
        room.pods,
    )
    if scaling.max_replicas > per_node * settings.nodes.workers.max_nodes:
        yield Problem(
            "service.autoscaling.maxReplicas",
            scaling.max_replicas,
            f"exceeds what {settings.nodes.workers.max_nodes} worker nodes of the smallest type hold ({per_node:.0f} pods each)",
            "Raise nodes.workers.maxNodes or lower the requests.",
        )


def _connections(settings: Settings) -> Iterator[Problem]:
    database, scaling = settings.database, settings.service.autoscaling
    limit = max_connections(database.instance_class)
    if limit is None:
        yield Problem(
            "database.instanceClass",
            database.instance_class,
            "its memory is unknown here, so connections cannot be budgeted",
            "Use a class of infra/instances.py DATABASE_MEMORY_GIB, or add its memory there with the source.",
        )
        return
    replicas = math.ceil(scaling.max_replicas * (1 + ROLLOUT_SURGE))
    wanted = replicas * database.pool_size + database.reserved_connections
    if wanted > limit:
        fitting = max((limit - database.reserved_connections) // replicas, 0)
        remedy = f"Lower poolSize to {fitting}" if fitting else "Lower service.autoscaling.maxReplicas"
        yield Problem(
            "database.poolSize",
            database.pool_size,
            f"{replicas} replicas (with rollout surge) × {database.pool_size} connections + "
            f"{database.reserved_connections} reserved = {wanted} exceeds max_connections={limit} of {database.instance_class}",
            f"{remedy} or choose a larger database.instanceClass.",
        )


def _storage(settings: Settings) -> Iterator[Problem]:
    database = settings.database
    # RDS: the autoscaling threshold must be at least 10 % above the allocated storage (RDS user guide, storage autoscaling).
    least = -(-database.storage_gib * 11 // 10)
    if database.max_storage_gib < least:
        yield Problem(
            "database.maxStorageGib",
            database.max_storage_gib,
            f"must be at least 10 % above storageGib={database.storage_gib}",
            f"Set it to {least} or more.",
        )
    if settings.cache.multi_az and settings.cache.replicas == 0:
        yield Problem("cache.multiAz", True, "needs a replica in another zone", "Set cache.replicas to 1 or more.")


def _production(settings: Settings) -> Iterator[Problem]:
    if settings.environment != "prod":
        return
    required = (
        ("database.multiAz", settings.database.multi_az, "survives the loss of a zone only with Multi-AZ"),
        ("cache.multiAz", settings.cache.multi_az, "survives the loss of a zone only with Multi-AZ"),
        (
            "database.deletionProtection",
            settings.database.deletion_protection,
            "production data must not go by accident",
        ),
        ("cluster.deletionProtection", settings.cluster.deletion_protection, "the cluster must not go by accident"),
    )
    for field, on, why in required:
        if not on:
            yield Problem(
                field, False, f"required in prod: {why}", "Set it to true (teardown: true opens it for a destroy)."
            )
    if settings.network.nat_gateways != "perZone" or len(settings.network.zones) < 3:
        yield Problem(
            "network.natGateways",
            f"{settings.network.nat_gateways} over {len(settings.network.zones)} zones",
            "prod needs three zones and a NAT gateway in each, or a zone's loss takes the others' way out",
            "Set natGateways: perZone and list three zones.",
        )
    if settings.service.autoscaling.min_replicas < 3:
        yield Problem(
            "service.autoscaling.minReplicas",
            settings.service.autoscaling.min_replicas,
            "prod needs one pod in each of three zones",
            "Set it to 3 or more.",
        )
