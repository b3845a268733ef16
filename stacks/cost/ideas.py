"""What may make an environment cheaper, each with what is given up for it. Whether it holds and saves is judged elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from infra.capacity_rules import known
from infra.instances import shape
from infra.settings import Settings
from infra.settings.model import Retention
from stacks.cost.amounts import NOTHING
from stacks.cost.plan import Base
from stacks.cost.rules.compute import on_demand, priced_types
from stacks.cost.settings_change import Changes
from stacks.cost.usage import Usage

Risk = Literal["low", "medium", "high"]
# Working hours: twelve of them on five days of the week.
OFFICE_HOURS: Changes = {
    "offHours.timeZone": "Etc/UTC",
    "offHours.from": "20:00",
    "offHours.to": "08:00",
    "offHours.workdays": ["monday", "tuesday", "wednesday", "thursday", "friday"],
}
# All that the platform's pods and nodes ask of AWS: without one, what they ask of it goes through NAT still.
ENDPOINTS = ["ecr.api", "ecr.dkr", "sts", "secretsmanager", "logs", "eks", "eks-auth", "ec2", "sqs", "xray"]


@dataclass(frozen=True)
class Idea:
    """A change of settings, of what is used, or of both."""

    title: str
    risk: Risk
    why: str
    changes: Changes = field(default_factory=dict[str, Any])
    usage: Callable[[Settings], Usage] | None = None  # with the settings as changed; None: as before
    unpriced: str = ""  # why nothing here can price it


def ideas(base: Base) -> Iterator[Idea]:
    """All that there is to try without measurements, in no order."""
    yield from _nodes(base)
    yield from _network(base)
    yield from _logs(base)
    yield from _hours(base)


def _nodes(base: Base) -> Iterator[Idea]:
    system, workers = base.settings.nodes.system, base.settings.nodes.workers
    cheaper = _cheapest(base, system.instance_types[0])
    if cheaper and cheaper not in system.instance_types[:1]:
        types = [cheaper, *(name for name in system.instance_types if name != cheaper)]
        why = "another maker's processor for controllers and monitoring; a managed group takes its first type while it can"
        yield Idea(f"System nodes on {cheaper} first", "low", why, {"nodes.system.instanceTypes": types})
    graviton = [name for name in (_graviton(base, name) for name in workers.instance_types) if name]
    if graviton:
        why = "Graviton: only with an image for arm64 too"
        types = list(dict.fromkeys([*graviton, *workers.instance_types]))
        yield Idea("Worker nodes on Graviton too", "medium", why, {"nodes.workers.instanceTypes": types})
    why = (
        "a commitment for one or three years, on system nodes and the on-demand base; no dated price of a plan was had"
    )
    yield Idea("Savings Plan for the on-demand base", "medium", why, unpriced="no dated price of a Savings Plan here")


def _cheapest(base: Base, name: str) -> str | None:
    """The cheapest steady type of the same shape that the settings take."""
    wanted = shape(name)
    fitting = {
        found: usd
        for found in priced_types(base.settings.region, base.prices)
        if (kind := shape(found)) and wanted and (kind.vcpu, kind.memory_gib) == (wanted.vcpu, wanted.memory_gib)
        and not found.startswith("t") and not known("", (found,))[1]
        and (usd := on_demand(base.settings.region, found, base.prices))
    }  # fmt: skip
    return min(fitting, key=lambda found: (fitting[found], found), default=None)


def _graviton(base: Base, name: str) -> str | None:
    """The same family's type with AWS's processor, where it has a price."""
    family, _, size = name.partition(".")
    found = f"{family[:2]}g.{size}"
    return found if on_demand(base.settings.region, found, base.prices) else None


def _network(base: Base) -> Iterator[Idea]:
    settings, traffic = base.settings, base.usage.traffic
    if settings.network.nat_gateways == "perZone":
        why = "the loss of its zone takes the way out of all others"
        yield Idea("One NAT gateway for all zones", "high", why, {"network.natGateways": "one"})
    if settings.network.interface_endpoints:
        moved = {"nat_gb": traffic.nat_gb + traffic.endpoint_gb, "endpoint_gb": NOTHING}
        title, wanted = "NAT in place of the interface endpoints", list[str]()
        why = "images, logs and secrets go through NAT, and are away when it is"
    else:
        moved = {"nat_gb": NOTHING, "endpoint_gb": traffic.endpoint_gb + traffic.nat_gb}
        title, wanted = "Interface endpoints in place of NAT", ENDPOINTS
        why = "at the most: as if all of natGb went to AWS's services, of which the usage file knows no part"
    usage = base.usage.model_copy(update={"traffic": traffic.model_copy(update=moved)})
    yield Idea(title, "medium", why, {"network.interfaceEndpoints": wanted}, lambda _: usage)


def _logs(base: Base) -> Iterator[Idea]:
    """The next shorter time that CloudWatch takes."""
    kept = {
        "cluster.logRetentionDays": base.settings.cluster.log_retention_days,
        "network.flowLogRetentionDays": base.settings.network.flow_log_retention_days,
    }
    for path, days in kept.items():
        shorter = [found for found in get_args(Retention) if found < days]
        if shorter:
            why = "an incident is looked into for so long and no longer"
            yield Idea(f"{path} from {days} to {shorter[-1]} days", "low", why, {path: shorter[-1]})


def _hours(base: Base) -> Iterator[Idea]:
    if base.settings.environment == "dev" and base.settings.off_hours is None:
        why = (
            "nothing answers at night, accepted runs wait for the morning, pulumi up at night waits for nodes that do not "
            "come, and three alarms are not made; the time zone is yours to name"
        )
        yield Idea("Nodes off outside twelve hours of five days", "medium", why, OFFICE_HOURS)
