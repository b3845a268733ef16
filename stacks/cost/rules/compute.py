"""Control plane, nodes on demand and on Spot, and their disks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from infra.versions import kubernetes_support
from stacks.cost.amounts import HOURS, NOTHING, Range, exactly, total
from stacks.cost.facts import Billed
from stacks.cost.prices import Meter, Prices
from stacks.cost.rules.hours import hours_of
from stacks.cost.rules.use import Context, Rule, Use, bare, hourly, prefixed, unknown, used
from stacks.cost.spot import advice

ON_DEMAND = "capacitystatus=Used;marketoption=OnDemand;operatingSystem=Linux;preInstalledSw=NA;tenancy=Shared"
NODE_GROUP, POOL = "aws:eks/nodeGroup:NodeGroup", "kubernetes:karpenter.sh/v1:NodePool"
SCHEDULE, CRON_JOB = "aws:scheduler/schedule:Schedule", "kubernetes:batch/v1:CronJob"
SERVICE = "service"  # workers run while the service does: infra/kubernetes/off_hours.py names its Jobs so


def cluster(item: Billed, context: Context) -> Iterator[Use]:
    yield hourly("AmazonEKS", prefixed(item.region, "AmazonEKS-Hours:perCluster"))
    version = str(item.facts.get("version"))
    support = kubernetes_support(version)
    if support is None:
        why = f"Kubernetes {version}: its support dates are unknown here"
        yield unknown("AmazonEKS", prefixed(item.region, "AmazonEKS-Hours:extendedSupport"), "Hrs", why)
    elif item.facts.get("support") == "EXTENDED" and support.standard_until and context.on > support.standard_until:
        why = f"Kubernetes {version} left standard support on {support.standard_until}"
        yield hourly("AmazonEKS", prefixed(item.region, "AmazonEKS-Hours:extendedSupport"), assumption=why)
    yield from _claims(item, context)
    scanned, why = context.usage.logs.scanned_gb, "searches of log groups: usage file"
    yield from used("AmazonCloudWatch", prefixed(item.region, "DataScanned-Bytes"), "GB", scanned, why)


def _claims(item: Billed, context: Context) -> Iterator[Use]:
    size = context.usage.storage.persistent_volumes_gb
    if size.high:
        why = "persistent volumes claimed in the cluster: usage file"
        yield Use(Meter("AmazonEC2", bare(item.region, "EBS:VolumeUsage.gp3")), "GB-Mo", size, why)


def node_group(item: Billed, context: Context) -> Iterator[Use]:
    yield _instances(item, context, first=True)
    if not item.facts.get("ownTemplate") and item.facts.get("diskGib") != 0:
        why = "EKS chooses the type of a disk that no launch template describes"
        yield unknown("AmazonEC2", bare(item.region, "EBS:VolumeUsage"), "GB-Mo", why)


def pool(item: Billed, context: Context) -> Iterator[Use]:
    yield _instances(item, context, first=False)


def running(item: Billed, context: Context) -> Range:
    """How many nodes of a group or pool run on the average; a pool's limit holds whatever the usage file says."""
    if item.type == NODE_GROUP:
        return exactly(item.facts.get("nodes", 0))
    workers, most = context.usage.workers, Decimal(item.facts.get("mostNodes") or 0)
    said = workers.spot_nodes if item.facts.get("capacity") == "spot" else workers.on_demand_nodes
    return Range(min(said.low, most), min(said.expected, most), min(said.high, most))


def on(item: Billed, context: Context) -> Range:
    """Hours a month that the nodes of a group or pool run: by their schedules, and never more than the usage file says."""
    group = item.type == NODE_GROUP
    scheduled = hours_of(context.resources, SCHEDULE if group else CRON_JOB, item.name if group else SERVICE)
    said = context.usage.hours
    return Range(min(said.low, scheduled), min(said.expected, scheduled), min(said.high, scheduled))


def _instances(item: Billed, context: Context, *, first: bool) -> Use:
    """Node hours at the price of the type that most nodes are, with the cheapest and the dearest type as bounds."""
    spot = item.facts.get("capacity") == "spot"
    name = "SpotUsage" if spot else "BoxUsage"
    types: list[str] = list(item.facts.get("instanceTypes") or ())
    prices = {kind: on_demand(item.region, kind, context.prices) for kind in types}
    priced: dict[str, Decimal] = {kind: price for kind, price in prices.items() if price}
    chosen = _typical(types, priced, context, first=first)
    missing = sorted(set(types) - set(priced))
    if chosen not in priced:
        why = (
            f"no price in {item.region} for {', '.join(missing) or 'unknown instance types'} (refresh --type asks AWS)"
        )
        return unknown("AmazonEC2", bare(item.region, f"{name}:{chosen or '?'}"), "Hrs", why)
    base = priced[chosen]
    factor = Range(min(priced.values()) / base, Decimal(1), max(priced.values()) / base)
    nodes = running(item, context)
    notes = [f"{nodes.expected} nodes ({nodes.low} to {nodes.high}), most of them {chosen} of {len(types)} types"]
    if spot:
        discount = _discount(item.region, priced, context)
        notes.append(f"{discount.expected:.0%} below on demand; at the most all of them fall back to it")
        factor *= Range(1 - discount.high, 1 - discount.expected, Decimal(1))
    if missing:
        notes.append(f"without {', '.join(missing)}, which have no price here")
    hours = on(item, context)
    if hours.expected < HOURS:
        notes.append(f"on for {hours.expected:.0f} of {HOURS} hours")
    meter = Meter("AmazonEC2", bare(item.region, f"{name}:{chosen}"), "" if spot else ON_DEMAND)
    return Use(meter, "Hrs", nodes * hours, "; ".join(notes), priced_as=_meter(item.region, chosen), factor=factor)


def _typical(types: list[str], priced: Mapping[str, Decimal], context: Context, *, first: bool) -> str:
    """A managed group takes its first type while it can; of a pool the usage file names it, else the median price does."""
    named = context.usage.workers.instance_type
    if first or not priced:
        return types[0] if types else ""
    if named in types:
        return str(named)
    return sorted(priced, key=lambda kind: (priced[kind], kind))[(len(priced) - 1) // 2]


def _discount(region: str, priced: Mapping[str, Any], context: Context) -> Range:
    said = context.usage.spot.discount
    if said is not None:
        return exactly(said)
    known = sorted(found.discount for kind, found in advice(region).items() if kind in priced)
    return Range(known[0], known[(len(known) - 1) // 2], known[-1]) if known else NOTHING


def _meter(region: str, kind: str) -> Meter:
    return Meter("AmazonEC2", bare(region, f"BoxUsage:{kind}"), ON_DEMAND)


def on_demand(region: str, kind: str, prices: Prices) -> Decimal | None:
    """An hour of an instance type, or None where its price is not known."""
    found = prices.find(region, _meter(region, kind))
    return found.rows[0].usd if found else None


def priced_types(region: str, prices: Prices) -> list[str]:
    """Every instance type with an on-demand price in a region, by name."""
    prefix = bare(region, "BoxUsage:")
    names = {
        row.usage_type.removeprefix(prefix)
        for row in prices.rows
        if row.region == region and row.service == "AmazonEC2" and row.usage_type.startswith(prefix)
    }
    return sorted(names)


def template_disks(item: Billed, context: Context) -> Iterator[Use]:
    """The disks of the node group of the same name: our components name a group and its template alike."""
    groups = [found for found in context.resources if found.type == NODE_GROUP and found.name == item.name]
    yield from _disks(item, groups, context)


def class_disks(item: Billed, context: Context) -> Iterator[Use]:
    pools = [found for found in context.resources if found.type == POOL]
    ours = [found for found in pools if found.facts.get("nodeClass") == item.facts.get("name")]
    yield from _disks(item, ours, context)


def _disks(item: Billed, owners: list[Billed], context: Context) -> Iterator[Use]:
    nodes = total([running(owner, context) for owner in owners])
    months = total([running(owner, context) * (on(owner, context) * (1 / HOURS)) for owner in owners])
    for volume in item.facts.get("volumes") or ():
        quantity = months * volume["gib"]
        why = f"{volume['gib']} GiB on each of {nodes.expected} nodes"
        yield Use(Meter("AmazonEC2", bare(item.region, f"EBS:VolumeUsage.{volume['type']}")), "GB-Mo", quantity, why)


def schedule(item: Billed, context: Context) -> Iterator[Use]:
    """The first 14 million invocations a month are free (aws.amazon.com/eventbridge/pricing); a CronJob is no resource of AWS."""
    yield from ()


RULES: Mapping[str, Rule] = {
    "aws:eks/cluster:Cluster": cluster,
    NODE_GROUP: node_group,
    POOL: pool,
    SCHEDULE: schedule,
    CRON_JOB: schedule,
    "aws:ec2/launchTemplate:LaunchTemplate": template_disks,
    "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass": class_disks,
}
