"""Rules of the service: do its pods fit the nodes, its connections the database, its end a Spot notice?"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from infra.capacity_rules import known, smallest
from infra.instances import Shape, max_connections
from infra.kubernetes.service_environment import MAY_NOT_SET, sign_in
from infra.kubernetes.shutdown import SPOT_NOTICE_SECONDS, grace_seconds
from infra.node_mix import node_limits
from infra.problems import Problem
from infra.quantities import mebibytes, millicores
from infra.settings import Settings
from infra.settings.service import Workload
from infra.system_pods import on_every_node
from infra.versions import PGBOUNCER_EXPORTER_IMAGE, PGBOUNCER_IMAGE

ROLLOUT_SURGE = 0.25  # of a Deployment: old and new pods hold connections together
_SECRET = re.compile(r"(^|_)(KEY|SECRET|TOKEN|PASSWORD)$")


def workloads(settings: Settings) -> Iterator[Problem]:
    """Requests, limits and bounds are in order."""
    for name, workload in _workloads(settings):
        if workload.min_replicas > workload.max_replicas:
            yield Problem(
                f"service.{name}.minReplicas",
                workload.min_replicas,
                f"exceeds maxReplicas={workload.max_replicas}",
                "Lower minReplicas or raise maxReplicas.",
            )
        yield from _ordered(f"service.{name}.cpuRequest", workload.cpu_request, "cpuLimit", workload.cpu_limit)
        memory = (workload.memory_request, "memoryLimit", workload.memory_limit)
        yield from _ordered(f"service.{name}.memoryRequest", *memory)


def vertical(settings: Settings) -> Iterator[Problem]:
    """The VPA moves nothing that an HPA's target is a percentage of."""
    bounds = settings.service.vertical
    if bounds is None:
        return
    if "cpu" in bounds.controls:
        yield Problem(
            "service.vertical.controls",
            "cpu",
            "the HPAs' CPU target is a Utilization of the request, which the VPA would move under it",
            "Leave memory only: its target is an AverageValue.",
        )
    yield from _ordered("service.vertical.minCpu", bounds.min_cpu, "maxCpu", bounds.max_cpu, strict=True)
    yield from _ordered("service.vertical.minMemory", bounds.min_memory, "maxMemory", bounds.max_memory, strict=True)


def shutdown(settings: Settings) -> Iterator[Problem]:
    """A pod on Spot has ended before its node is taken."""
    grace, drain = grace_seconds(settings), settings.service.drain_seconds
    if grace >= SPOT_NOTICE_SECONDS:
        yield Problem(
            "service.drainSeconds",
            drain,
            f"preStop and exit make it a grace period of {grace} s, and Spot gives {SPOT_NOTICE_SECONDS} s in all",
            f"Lower it to {SPOT_NOTICE_SECONDS - 1 - (grace - drain)} or less.",
        )


def environment(settings: Settings) -> Iterator[Problem]:
    """Further variables are the service's own, and no secret."""
    typed = sign_in(settings.service.sign_in)
    for name in settings.service.environment:
        field = f"service.environment.{name}"
        if name in MAY_NOT_SET:
            yield Problem(field, "(not shown)", "the platform sets or needs it itself", "Remove it.")
        elif name in typed:
            yield Problem(field, "(not shown)", "service.signIn sets it", "Remove it here.")
        elif not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
            yield Problem(field, "(not shown)", "is no name of a variable", "Write it in capitals and underscores.")
        elif _SECRET.search(name):
            rule = "by its name a secret, and pod templates are shown to everybody who may read the cluster"
            yield Problem(field, "(not shown)", rule, "List it in secrets.entries and secrets.mounted.")


def capacity(settings: Settings) -> Iterator[Problem]:
    """All pods at their maximum fit the nodes; the API alone fits the on-demand ones, for the day Spot is dry."""
    nodes = settings.nodes.workers
    shapes, _ = known("", nodes.instance_types)
    if not shapes:
        return
    cpu, memory, _ = _left(settings, shapes)
    for name, workload in _workloads(settings):
        for field, value, need, have, unit in (
            ("cpuLimit", workload.cpu_limit, millicores(workload.cpu_limit), cpu, "m CPU"),
            ("memoryLimit", workload.memory_limit, mebibytes(workload.memory_limit), memory, "Mi memory"),
        ):
            if need > have:
                yield Problem(
                    f"service.{name}.{field}",
                    value,
                    f"does not fit the smallest worker node, which leaves {have:.0f}{unit} for pods",
                    "Lower the limit or drop the smallest type from nodes.workers.instanceTypes.",
                )
                return
    per_node = {name: pods_per_node(settings, workload) for name, workload in _workloads(settings)}
    api, workers = settings.service.api, settings.service.workers
    wanted = math.ceil(api.max_replicas / per_node["api"]) + math.ceil(workers.max_replicas / per_node["workers"])
    if wanted > nodes.max_nodes:
        yield Problem(
            "service.workers.maxReplicas",
            workers.max_replicas,
            f"with {api.max_replicas} of the API needs {wanted} nodes of the smallest type ({per_node['workers']} pods "
            f"each), and nodes.workers.maxNodes is {nodes.max_nodes}",
            "Raise nodes.workers.maxNodes or lower maxReplicas or the requests.",
        )
    base = node_limits(nodes.max_nodes)["on-demand"]
    if api.max_replicas > base * per_node["api"]:
        yield Problem(
            "service.api.maxReplicas",
            api.max_replicas,
            f"exceeds what the {base} on-demand nodes hold ({per_node['api']} pods each): the API must not wait for Spot",
            "Lower it, or raise nodes.workers.maxNodes, a quarter of which is on demand.",
        )


def pods_per_node(settings: Settings, workload: Workload) -> int:
    """How many pods of one kind the smallest worker node has room for, beside its DaemonSets."""
    shapes, _ = known("", settings.nodes.workers.instance_types)
    cpu, memory, pods = _left(settings, shapes)
    by_cpu, by_memory = cpu // millicores(workload.cpu_request), memory // mebibytes(workload.memory_request)
    return int(min(by_cpu, by_memory, pods))


def _left(settings: Settings, shapes: list[Shape]) -> tuple[float, float, int]:
    """Millicores, MiB and pods that DaemonSets leave of the smallest of these shapes."""
    room = smallest(shapes, settings.nodes.workers.max_pods)
    taken_cpu, taken_memory = on_every_node(settings.environment)
    return room.cpu * 1000 - taken_cpu, room.memory_mib - taken_memory, room.pods


def connections(settings: Settings) -> Iterator[Problem]:
    """All replicas of a rollout stay below what PostgreSQL allows, with their pools or through the pooler's."""
    database = settings.database
    limit = max_connections(database.instance_class)
    if limit is None:
        yield Problem(
            "database.instanceClass",
            database.instance_class,
            "its memory is unknown here, so connections cannot be budgeted",
            "Use a class of infra/instances.py DATABASE_MEMORY_GIB, or add its memory there with the source.",
        )
        return
    replicas = replicas_in_rollout(settings)
    reserved = database.reserved_connections
    pooler = database.pooler
    each = 1 if pooler else database.pool_size + 1  # one of them always direct, for LISTEN
    pooled = pooler.replicas * (pooler.pool_size + pooler.reserve_size) if pooler else 0
    wanted = replicas * each + pooled + reserved
    if wanted > limit:
        fitting = max((limit - reserved) // replicas - 1, 0)
        lower = f"database.poolSize to {fitting}" if fitting and not pooler else "service.workers.maxReplicas"
        yield Problem(
            "database.pooler.poolSize" if pooler else "database.poolSize",
            pooler.pool_size if pooler else database.pool_size,
            f"{replicas} replicas (with rollout surge) × {each} connections + {pooled + reserved} of poolers and reserve "
            f"= {wanted} exceeds max_connections={limit} of {database.instance_class}",
            f"Lower {lower} or choose a larger database.instanceClass.",
        )
    if pooler and replicas * database.pool_size > pooler.replicas * pooler.max_client_connections:
        yield Problem(
            "database.pooler.maxClientConnections",
            pooler.max_client_connections,
            f"{replicas} replicas (with rollout surge) × {database.pool_size} connections exceed what "
            f"{pooler.replicas} poolers take",
            "Raise it or lower database.poolSize.",
        )


def replicas_in_rollout(settings: Settings) -> int:
    """Old and new pods of all kinds while both are there."""
    return sum(math.ceil(workload.max_replicas * (1 + ROLLOUT_SURGE)) for _, workload in _workloads(settings))


def images(settings: Settings) -> Iterator[Problem]:
    """A service that is to reach its database through the pooler needs the pooler's images too."""
    pooler = settings.database.pooler
    if settings.service.image is None or pooler is None:
        return
    wanted = {
        "database.pooler.image": (pooler.image, PGBOUNCER_IMAGE),
        "database.pooler.exporterImage": (pooler.exporter_image, PGBOUNCER_EXPORTER_IMAGE),
    }
    for field, (given, public) in wanted.items():
        if given is None:
            rule = "required with service.image: the service reaches the database through the pooler"
            remedy = f"Copy {public} into your registry and set it, or remove database.pooler."
            yield Problem(field, "(absent)", rule, remedy)


def _workloads(settings: Settings) -> list[tuple[str, Workload]]:
    return [("api", settings.service.api), ("workers", settings.service.workers)]


def _ordered(field: str, low: str, other: str, high: str, *, strict: bool = False) -> Iterator[Problem]:
    number = millicores if "cpu" in field.lower() else mebibytes
    if number(low) > number(high) or (strict and number(low) == number(high)):
        yield Problem(
            field, low, f"must be {'below' if strict else 'at most'} {other}={high}", f"Lower it or raise {other}."
        )
