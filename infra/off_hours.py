"""When nodes are off: what the setting must keep to, and the moments of a week at which something is done for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import get_args

from infra.problems import Problem
from infra.settings import Settings
from infra.settings.model import Day
from infra.settings.platform import OffHours

# After the pods: they drain for two minutes at most, then Karpenter, which runs on the system nodes, takes worker after
# worker (consolidateAfter 5m; terminationGracePeriod 15m for one that holds something up).
NODES_LATER = 30
# Before the pods: EKS launches, nodes join, Karpenter and the controllers start.
NODES_SOONER = 15
SHORTEST = 60  # minutes: below, what these two leave of a night is no night
DAY_MINUTES = 24 * 60
_REGISTRY = "registry.k8s.io"


@dataclass(frozen=True)
class Moment:
    """A time on some days of the week, as Kubernetes' cron and EventBridge's both write it: ``MON,TUE``."""

    minute: int
    hour: int
    days: str


def going(hours: OffHours, later: int = 0) -> Moment:
    """When nodes go, and so many minutes later: each day, so that who was woken by hand or missed an evening goes too."""
    return _moment(_minutes(hours.off_at) + later, get_args(Day))


def coming(hours: OffHours, sooner: int = 0) -> Moment:
    """When a workday begins, and so many minutes sooner."""
    return _moment(_minutes(hours.on_at) - sooner, hours.workdays)


def rules(settings: Settings) -> Iterator[Problem]:
    """Only where nobody needs the nights, at times that exist, and with an image that the cluster admits."""
    hours = settings.off_hours
    if hours is None:
        return
    if settings.environment == "prod":
        yield Problem("offHours", f"{hours.off_at} to {hours.on_at}", "prod answers at night too", "Remove it.")
    if hours.time_zone not in time_zones():
        rule = "is no time zone of the pinned tzdata"
        yield Problem(
            "offHours.timeZone", hours.time_zone, rule, "Name one of IANA's, such as Europe/Berlin or Etc/UTC."
        )
    night = (_minutes(hours.on_at) - _minutes(hours.off_at)) % DAY_MINUTES
    if night < SHORTEST:
        rule = (
            f"is {night} minutes after offHours.from={hours.off_at}, and nodes go {NODES_LATER} minutes after the one "
            f"and come {NODES_SOONER} before the other"
        )
        yield Problem("offHours.to", hours.on_at, rule, f"Leave {SHORTEST} minutes or more, or remove offHours.")
    for day in sorted({day for day in hours.workdays if hours.workdays.count(day) > 1}):
        yield Problem("offHours.workdays", day, "the day is listed twice", "List it once.")
    zones, nodes = len(settings.network.zones), settings.nodes.system.desired_size
    if nodes < zones:
        # Prometheus' and Alertmanager's disks are each in one zone, and every morning's nodes are new ones.
        rule = f"offHours needs one in each of the {zones} zones, for disks that wait there for their pod"
        yield Problem("nodes.system.desiredSize", nodes, rule, f"Set {zones} or more, or remove offHours.")
    if _REGISTRY not in settings.registry.pull_through:
        rule = (
            f"needs kubectl's image, which the cluster admits from the account's registry only, and {_REGISTRY} is not"
        )
        remedy = f"Add {_REGISTRY} to registry.pullThrough."
        yield Problem("offHours", f"{hours.off_at} to {hours.on_at}", f"{rule} pulled through it", remedy)


@cache
def time_zones() -> frozenset[str]:
    """The names of the pinned package tzdata: those of the machine differ from one to the next."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text().split())


def _minutes(clock: str) -> int:
    hour, _, minute = clock.partition(":")
    return int(hour) * 60 + int(minute)


def _moment(at: int, days: Sequence[Day]) -> Moment:
    """``at``: minutes from the midnight in which these days begin, before it or after the next one too."""
    week = get_args(Day)
    shift, within = divmod(at, DAY_MINUTES)
    found = sorted((week.index(day) + shift) % len(week) for day in days)
    return Moment(within % 60, within // 60, ",".join(week[day][:3].upper() for day in found))
