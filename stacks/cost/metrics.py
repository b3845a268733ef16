"""What was measured of the pods and the database, and the settings that would be enough for it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from infra.instances import shape
from infra.quantities import mebibytes, millicores
from infra.settings import Settings
from infra.settings.service import Workload
from stacks.cost.ideas import Idea
from stacks.cost.plan import DATABASE_BUSY, DATABASE_CLASSES, Base, classes_by_price, nodes_for
from stacks.cost.usage import Model, Usage
from stacks.terminal import Refused

SPARE = 1.15  # above the 95th percentile, as the VPA's recommender adds (its safety margin fraction)
CPU_STEP, MEMORY_STEP = 50, 64  # m and Mi: requests that people read
LEAST_DAYS = 7  # one week has each hour of the week in it
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Pods(Model):
    """Of one kind of pod, the 95th percentile over pods and time."""

    cpu_millicores: Positive
    memory_mebibytes: Positive


class Database(Model):
    """The 95th percentile over the hours of the peak."""

    cpu_percent: Annotated[float, Field(gt=0, le=100)]


class Metrics(Model):
    """What Prometheus and CloudWatch showed; what is absent was not measured."""

    days: Annotated[int, Field(ge=LEAST_DAYS)]
    api: Pods | None = None
    workers: Pods | None = None
    database: Database | None = None


def read(path: Path) -> Metrics:
    """Metrics from a JSON file. Raises Refused for one that is absent or malformed."""
    try:
        return Metrics.model_validate(json.loads(path.read_text()))
    except (OSError, ValueError) as failure:
        told = (
            "; ".join(f"{'.'.join(map(str, row['loc']))}={row['input']!r}: {row['msg']}" for row in failure.errors())
            if isinstance(failure, ValidationError)
            else str(failure)
        )
        remedy = "docs/cost.md shows its form"
        raise Refused(f"--metrics={path}: holds no measurements ({told}). Correct it; {remedy}.") from None


def right_sized(base: Base, metrics: Metrics) -> Iterator[Idea]:
    """For what asks for more than it was seen to use."""
    changes = {
        f"service.{name}.{field}": value
        for name in ("api", "workers")
        for field, value in _requests(getattr(base.settings.service, name), getattr(metrics, name))
    }
    if changes:
        why = f"{metrics.days} days measured; the HPA's CPU target is a part of the request, so it adds pods earlier"
        title = "Requests of the pods as measured"
        yield Idea(title, "medium", why, changes, lambda settings: _with_fewer_nodes(base, settings))
    if metrics.database:
        yield from _database(base, metrics.database)


def _with_fewer_nodes(base: Base, after: Settings) -> Usage:
    """Nodes in proportion to what all pods at their most need of them."""
    before = base.settings
    ratio = Decimal(_at_most(after)) / _at_most(before)
    workers = base.usage.workers
    fewer = {"on_demand_nodes": workers.on_demand_nodes * ratio, "spot_nodes": workers.spot_nodes * ratio}
    return base.usage.model_copy(update={"workers": workers.model_copy(update=fewer)})


def _at_most(settings: Settings) -> int:
    return nodes_for(settings, settings.service.workers.max_replicas, settings.service.api.max_replicas)


def _database(base: Base, seen: Database) -> Iterator[Idea]:
    """The next cheaper class, where its vCPUs are at most half busy with what was seen."""
    database = base.settings.database
    now, classes = (
        database.instance_class.removeprefix("db."),
        classes_by_price(base, DATABASE_CLASSES, database.multi_az),
    )
    cheaper = classes[: classes.index(now)] if now in classes else []
    kind = shape(now)
    for name in reversed(cheaper):
        smaller = shape(name)
        if kind and smaller and smaller.vcpu * DATABASE_BUSY >= kind.vcpu * seen.cpu_percent / 100:
            why = "less memory caches less: look at reads from storage first, which the CPU does not tell"
            yield Idea(f"Database on db.{name}", "high", why, {"database.instanceClass": f"db.{name}"})
            return


def _requests(workload: Workload, seen: Pods | None) -> Iterator[tuple[str, str]]:
    """The requests that are more than was seen, and what would be enough."""
    if seen is None:
        return
    cpu = math.ceil(seen.cpu_millicores * SPARE / CPU_STEP) * CPU_STEP
    memory = math.ceil(seen.memory_mebibytes * SPARE / MEMORY_STEP) * MEMORY_STEP
    if cpu < millicores(workload.cpu_request):
        yield "cpuRequest", f"{cpu}m"
    if memory < mebibytes(workload.memory_request):
        yield "memoryRequest", f"{memory}Mi"
