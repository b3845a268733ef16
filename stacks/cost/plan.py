"""The settings that carry a load, what they cost, and the most users that a budget carries."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from infra.instances import max_connections, shape
from infra.node_mix import SPOT_SHARE, node_limits
from infra.service_rules import connections, pods_per_node, replicas_in_rollout
from infra.settings import PROJECT, Settings
from stacks.configuration import settings_of
from stacks.cost.amounts import Range
from stacks.cost.estimate import Estimate, estimate_resources
from stacks.cost.facts import Billed
from stacks.cost.load import Demand, Load, demand
from stacks.cost.prices import REFRESH, Prices
from stacks.cost.usage import Usage, scaled
from stacks.terminal import Refused

SECTIONS = ("nodes", "database", "cache", "service")
DATABASE_BUSY = 0.5  # of its vCPUs at the peak: the rest is for vacuum, backups and a failover's cold cache
DATABASE_CLASSES = ("t4g.medium", "t4g.large", "m7g.large", "r7g.large", "m7g.xlarge", "r7g.xlarge", "r7g.2xlarge",
                    "r7g.4xlarge")  # fmt: skip
LEAST_POOL = 2  # one connection for the saver, which writes one checkpoint at a time, and one for all else
STORAGE_FREE, MOST_STORAGE_GIB = 1.25, 65_536  # RDS user guide, gp3 storage of PostgreSQL
CACHE_USABLE = 0.75  # AWS's advice: a quarter of the memory is for snapshots and failover
# Memory in GiB (ElastiCache pricing page), and messages a second: our assumption, of which nothing but the order of
# magnitude is known. One primary carries all of them: we run Valkey without cluster mode.
CACHE_NODES = {
    "cache.t4g.small": (1.37, 3_000),
    "cache.t4g.medium": (3.09, 3_000),
    "cache.m7g.large": (6.38, 50_000),
    "cache.m7g.xlarge": (12.93, 100_000),
    "cache.m7g.2xlarge": (26.04, 100_000),
}
GROWTH = (0.25, 0.5, 1, 2, 4)  # of the users asked for
RETENTION = "AGENT_CHECKPOINT_RETENTION_SECONDS"


@dataclass(frozen=True)
class Base:
    """The environment that a plan changes: its configuration, and what its graph bills."""

    stack: str
    config: Mapping[str, str]
    settings: Settings
    resources: tuple[Billed, ...]
    usage: Usage
    prices: Prices


@dataclass(frozen=True)
class Plan:
    """A load, what it asks for, the settings that hold it, and a month of them."""

    load: Load
    demand: Demand
    settings: Settings
    config: Mapping[str, str]  # validated, with the sections below changed
    nodes: int  # at the peak
    least_nodes: int
    usage: Usage
    estimate: Estimate

    @property
    def sections(self) -> dict[str, Any]:
        """What to paste into Pulumi.<stack>.yaml."""
        return {f"{PROJECT}:{name}": _section(self.settings, name) for name in SECTIONS}

    @property
    def cost_per_user(self) -> Decimal:
        return self.estimate.total.expected / self.load.users

    @property
    def cost_per_thousand_runs(self) -> Decimal:
        return self.estimate.total.expected * 1000 / self.demand.runs_per_month

    @property
    def connections(self) -> tuple[int, int]:
        """Of the service in a rollout without a pooler, and what the database takes."""
        database = self.settings.database
        asked = replicas_in_rollout(self.settings) * (database.pool_size + 1) + database.reserved_connections
        return asked, max_connections(database.instance_class) or 0


def plan(base: Base, load: Load) -> Plan:
    """The smallest settings that hold a load. Raises Refused where none do, or where validation refuses them."""
    wanted = demand(load, base.settings.service.workers)
    sized = _with_replicas(base.settings, load, wanted)
    nodes = nodes_for(sized, sized.service.workers.max_replicas, sized.service.api.max_replicas)
    sized = _with_nodes(sized, nodes)
    sized = _with_cache(_with_database(sized, base, load, wanted), base, wanted)
    config = {**base.config, **{f"{PROJECT}:{name}": json.dumps(_section(sized, name)) for name in SECTIONS}}
    settings = settings_of(config, f"The plan for {load.users} users")
    least = nodes_for(sized, sized.service.workers.min_replicas, sized.service.api.min_replicas)
    usage = _usage(base.usage, wanted, least, load.average * nodes, nodes)
    found = estimate_resources(base.stack, _as_billed(base.resources, settings), usage, base.prices)
    return Plan(load, wanted, settings, config, nodes, least, usage, found)


def most_users(base: Base, load: Load, budget: Decimal) -> Plan:
    """The plan of the most users whose expected month stays within a budget. ``load.users`` is not looked at."""

    def within(users: int) -> Plan | None:
        try:
            found = plan(base, load.model_copy(update={"users": users}))
        except Refused:
            return None  # more than any settings of ours hold
        return found if found.estimate.total.expected <= budget else None

    best = within(1)
    if best is None:
        floor = plan(base, load.model_copy(update={"users": 1})).estimate.total.expected
        raise Refused(
            f"--budget={budget}: {base.stack} with one user costs ${floor:,.2f} a month. Give more or plan another --stack."
        )
    beyond = 2
    while found := within(beyond):
        best, beyond = found, beyond * 2
    while beyond - best.load.users > 1:
        middle = (best.load.users + beyond) // 2
        if found := within(middle):
            best = found
        else:
            beyond = middle
    return best


def growth(base: Base, load: Load) -> list[Plan]:
    """Plans from fewer users to more, as far as there are settings that hold them."""
    found: list[Plan] = []
    for factor in GROWTH:
        try:
            found.append(plan(base, load.model_copy(update={"users": max(round(load.users * factor), 1)})))
        except Refused:
            break
    return found


def nodes_for(settings: Settings, workers: int, api: int) -> int:
    """Nodes of the pool's smallest type for so many pods, as the rule of capacity counts them."""
    service = settings.service
    return math.ceil(workers / pods_per_node(settings, service.workers)) + math.ceil(
        api / pods_per_node(settings, service.api)
    )


def _with_replicas(settings: Settings, load: Load, wanted: Demand) -> Settings:
    """Floors stay as they are: they are there for availability, not for the load."""
    service = settings.service
    api = service.api.model_copy(update={"max_replicas": max(wanted.api_pods, service.api.min_replicas)})
    workers = service.workers.model_copy(update={"max_replicas": max(wanted.worker_pods, service.workers.min_replicas)})
    kept = {**service.environment, RETENTION: str(round(load.keep_days * 86_400))}
    return settings.model_copy(
        update={"service": service.model_copy(update={"api": api, "workers": workers, "environment": kept})}
    )


def _with_nodes(settings: Settings, nodes: int) -> Settings:
    """Room for all of them in the zones that are left when one is lost, and for the API on the on-demand quarter."""
    zones = len(settings.network.zones)
    most = math.ceil(nodes / (zones - 1)) * zones
    api = settings.service.api
    base = math.ceil(api.max_replicas / pods_per_node(settings, api))
    while node_limits(most)["on-demand"] < base:
        most += 1
    workers = settings.nodes.workers.model_copy(update={"max_nodes": most})
    return settings.model_copy(update={"nodes": settings.nodes.model_copy(update={"workers": workers})})


def _with_database(settings: Settings, base: Base, load: Load, wanted: Demand) -> Settings:
    database = settings.database
    size = math.ceil(wanted.checkpoint_gb_per_day * load.keep_days * 1e9 / 2**30 * STORAGE_FREE / 10) * 10
    if size * 2 > MOST_STORAGE_GIB:
        kept = f"{wanted.checkpoint_gb_per_day:,.0f} GB of checkpoints a day for {load.keep_days:g} days"
        raise Refused(f"--keep-days={load.keep_days:g}: {kept} do not fit RDS ({MOST_STORAGE_GIB} GiB). Lower it.")
    room = {
        "storage_gib": max(size, database.storage_gib),
        "max_storage_gib": max(size * 2, database.max_storage_gib),
    }
    classes = classes_by_price(base, DATABASE_CLASSES, database.multi_az)
    if not classes:
        raise Refused(f"region={settings.region}: no database class has a price here. {REFRESH}")
    for name in classes:
        kind = shape(name)
        if kind is None or kind.vcpu * DATABASE_BUSY < wanted.database_vcpu:
            continue
        for pool in range(database.pool_size, min(LEAST_POOL, database.pool_size) - 1, -1):
            tried = database.model_copy(update={**room, "instance_class": f"db.{name}", "pool_size": pool})
            found = settings.model_copy(update={"database": tried})
            if not any(connections(found)):
                return found
    raise Refused(
        f"--users={load.users}: no priced database class has {wanted.database_vcpu / DATABASE_BUSY:.1f} vCPUs and the "
        f"connections of {replicas_in_rollout(settings)} replicas. Raise service.workers.activeRuns, or make runs cheaper "
        "(--cpu-seconds, --database-cpu-seconds)."
    )


def _with_cache(settings: Settings, base: Base, wanted: Demand) -> Settings:
    for name, (gib, messages) in CACHE_NODES.items():
        if base.settings.environment == "prod" and ".t" in name:
            continue  # its credits run out at the hour when they are needed
        if gib * CACHE_USABLE >= wanted.stream_gib and messages >= wanted.messages_per_second:
            cache = settings.cache.model_copy(update={"node_type": name})
            return settings.model_copy(update={"cache": cache})
    raise Refused(
        f"--messages-per-second: {wanted.messages_per_second:,.0f} of all runs, {wanted.stream_gib:,.1f} GiB: more than "
        "one Valkey primary takes. Send tokens in batches, which lowers it."
    )


def classes_by_price(base: Base, classes: tuple[str, ...], multi_az: bool) -> list[str]:
    """The classes that have a price here, cheapest first; in prod none that lives on credits."""
    kind = "Multi-AZUsage" if multi_az else "InstanceUsage"
    known = {
        row.usage_type: row.usd
        for row in base.prices.rows
        if row.region == base.settings.region and row.service == "AmazonRDS"
    }
    priced = {name: known.get(f"{kind}:db.{name}") for name in classes}
    steady = {
        name: usd
        for name, usd in priced.items()
        if usd and not (base.settings.environment == "prod" and name.startswith("t"))
    }
    return sorted(steady, key=lambda name: (steady[name], name))


def _usage(usage: Usage, wanted: Demand, least: int, average: float, most: int) -> Usage:
    """The usage file's, at this load; nodes from the fewest that the floors need to all of the peak."""
    nodes = Range(Decimal(least), Decimal(str(max(least, average))), Decimal(most))
    spot = Decimal(SPOT_SHARE)
    workers = usage.workers.model_copy(update={"on_demand_nodes": nodes * (1 - spot), "spot_nodes": nodes * spot})
    return scaled(usage, wanted.runs_per_month).model_copy(update={"workers": workers})


def _as_billed(resources: tuple[Billed, ...], settings: Settings) -> list[Billed]:
    """The base's resources with what a plan changes: a capture of its settings bills the same, in a second or two."""
    limits = node_limits(settings.nodes.workers.max_nodes)
    database = settings.database

    def changes(item: Billed) -> Iterator[tuple[str, Any]]:
        if item.type == "aws:rds/instance:Instance":
            yield from (("instanceClass", database.instance_class), ("allocatedStorage", database.storage_gib))
        elif item.type == "kubernetes:karpenter.sh/v1:NodePool":
            yield "mostNodes", limits[item.facts["capacity"]]
        elif item.type == "aws:elasticache/replicationGroup:ReplicationGroup" and item.name == "cache":
            yield "nodeType", settings.cache.node_type

    return [replace(item, facts={**item.facts, **dict(changes(item))}) for item in resources]


def _section(settings: Settings, name: str) -> dict[str, Any]:
    return getattr(settings, name).model_dump(mode="json", by_alias=True, exclude_unset=True)
