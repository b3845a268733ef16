"""Which types a Spot pool should list, ranked by price, by how it moves, by how often AWS takes nodes back, and by kin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from infra.capacity_rules import SPOT_MINIMUM_TYPES, known
from infra.instances import Shape
from infra.service_rules import pods_per_node
from infra.settings import Settings
from stacks.cost.market import LEAST_DAYS, Market, Statistics
from stacks.cost.plan import Base
from stacks.cost.prices import REFRESH
from stacks.cost.rules.compute import on_demand, priced_types
from stacks.cost.spot import advice
from stacks.terminal import Refused

FIELD = "nodes.workers.instanceTypes"
LEAST_ZONES = 3  # of the region in which a type is sold: with fewer, a dry zone leaves no choice
# Upper bounds of the Spot Advisor's buckets; above 20 % there is none, and a type nobody measured counts as such.
BUCKETS = tuple(Decimal(text) for text in ("0.05", "0.10", "0.15", "0.20", "0.25"))
KIN = Decimal("0.02")  # our judgment: what each type of the same letter and generation that is in already adds


@dataclass(frozen=True)
class Candidate:
    """A type as the market has it. Prices an hour: the mean over the environment's zones, never above on demand.

    The shipped sample knows the average of a region alone: it stands for the median, and the other two are not known.
    """

    instance_type: str
    shape: Shape
    pods: int  # of the workers' kind that one node holds
    on_demand: Decimal
    median: Decimal
    p95: Decimal | None
    deviation: Decimal | None
    interruptions: int | None  # as ``spot.Advice`` counts them

    @property
    def score(self) -> Decimal:
        """Dollars an hour and pod, made dearer by what moves and by what is taken back: a judgment, not a price."""
        bucket = BUCKETS[-1 if self.interruptions is None else self.interruptions]
        return (self.median + (self.deviation or 0)) / self.pods * (1 + bucket)

    @property
    def kin(self) -> tuple[str, int]:
        return self.instance_type[0], self.shape.generation


@dataclass(frozen=True)
class Ranking:
    """The types to list, best first, and why the others are not in it."""

    chosen: tuple[Candidate, ...]
    left_out: Mapping[str, str]

    def discount(self, price: str) -> Decimal | None:
        """What the pool's types are below on demand on the average, at their ``median`` or ``p95``; None: not known."""
        hours = [(getattr(found, price), found.on_demand) for found in self.chosen]
        parts = [1 - usd / on_demand for usd, on_demand in hours if usd is not None]
        return sum(parts, Decimal(0)) / len(parts) if len(parts) == len(hours) else None


def sold(base: Base) -> list[str]:
    """The types that have an on-demand price here and that the settings would take."""
    found = [name for name in priced_types(base.settings.region, base.prices) if not known("", (name,))[1]]
    if not found:
        raise Refused(f"region={base.settings.region}: no instance type has an on-demand price here. {REFRESH}")
    return found


def ranked(base: Base, market: Market | None, window: tuple[datetime, datetime], count: int) -> Ranking:
    """The best types for a pool, without a market by the shipped sample. Raises Refused where too few are left."""
    wanted = _wanted(base.settings)
    judged = {name: _judged(base, market, window, name, wanted) for name in sold(base)}
    fitting = [found for found in judged.values() if isinstance(found, Candidate)]
    left_out = {name: found for name, found in judged.items() if isinstance(found, str)}
    if len(fitting) < SPOT_MINIMUM_TYPES:
        why = ", ".join(f"{times} {reason}" for reason, times in Counter(left_out.values()).most_common())
        raise Refused(
            f"--history: {len(fitting)} types are left, and Spot needs {SPOT_MINIMUM_TYPES}; of the others {why}. "
            "Give a history (--live, --history FILE) of more types or more days."
        )
    ordered = tuple(by_rank(fitting))
    return Ranking(ordered[:count], {**left_out, **{found.instance_type: "ranked lower" for found in ordered[count:]}})


def by_rank(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Best first; each choice makes its kin less wanted, since they dry up together."""
    left = sorted(candidates, key=lambda found: (found.score, found.instance_type))
    kin: Counter[tuple[str, int]] = Counter()
    while left:
        best = min(left, key=lambda found: found.score * (1 + KIN * kin[found.kin]))
        left.remove(best)
        kin[best.kin] += 1
        yield best


def _wanted(settings: Settings) -> tuple[int, int]:
    """What every type is held against: the vCPUs that most of the pool's have, and the pods on its smallest."""
    [(vcpu, _)] = Counter(kind.vcpu for kind in known("", settings.nodes.workers.instance_types)[0]).most_common(1)
    return vcpu, pods_per_node(settings, settings.service.workers)


def _judged(
    base: Base, market: Market | None, window: tuple[datetime, datetime], name: str, wanted: tuple[int, int]
) -> Candidate | str:
    """A candidate, or why the type is none."""
    settings = base.settings
    vcpu, least_pods = wanted
    [shape], _ = known("", (name,))
    pods = pods_per_node(_with_types(settings, name), settings.service.workers)
    usd = on_demand(settings.region, name, base.prices)
    if usd is None or shape.vcpu != vcpu or name.startswith("t"):
        return f"of another shape than {vcpu} vCPUs"
    if pods < least_pods:
        return "with room for fewer pods than the pool's smallest"
    measured = advice(settings.region).get(name)
    interruptions = measured.interruptions if measured else None
    if market is None:
        if measured is None:
            return "not in the sample of the Spot Advisor"
        return Candidate(name, shape, pods, usd, usd * (1 - measured.discount), None, None, interruptions)
    pools = [market.statistics(name, zone.name, *window) for zone in settings.network.zones]
    told = [found for found in pools if found and found.known >= timedelta(days=LEAST_DAYS)]
    if len(market.offered.get(name, ())) < LEAST_ZONES:
        return f"sold in fewer than {LEAST_ZONES} zones"
    if len(told) < len(pools):
        return f"without {LEAST_DAYS} days of prices in each of the environment's zones"
    return Candidate(
        name, shape, pods, usd, _mean(told, "median", usd), _mean(told, "p95", usd), _mean(told, "deviation", usd),
        interruptions,
    )  # fmt: skip


def _mean(pools: list[Statistics], field: str, most: Decimal) -> Decimal:
    """Over the zones; a price above on demand is one that nobody has to pay."""
    return sum((min(getattr(found, field), most) for found in pools), Decimal(0)) / len(pools)


def _with_types(settings: Settings, *names: str) -> Settings:
    workers = settings.nodes.workers.model_copy(update={"instance_types": names})
    return settings.model_copy(update={"nodes": settings.nodes.model_copy(update={"workers": workers})})
