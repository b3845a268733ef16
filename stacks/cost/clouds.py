"""The same settings on Azure and Google Cloud, part by part, as far as a dated price was had."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from infra.instances import DATABASE_MEMORY_GIB, shape
from infra.settings import Settings
from stacks.cost.amounts import HOURS
from stacks.cost.estimate import Estimate, Line
from stacks.terminal import Exit, Refused

TABLE = Path(__file__).resolve().parent / "data" / "clouds.csv"
CLOUDS = {"azure": "Azure", "gcp": "Google Cloud"}


@dataclass(frozen=True)
class Rate:
    """What another cloud takes for a unit, by a source and its day."""

    usd: Decimal
    unit: str
    region: str
    as_of: date
    source: str
    address: str


Rates = Mapping[tuple[str, str], Rate]  # by cloud and meter


@dataclass(frozen=True)
class Part:
    """A part of the environment: AWS's name and its lines, what the others call it, and how much of which meter it takes."""

    name: str
    services: Mapping[str, str]
    lines: Callable[[Line], bool]
    meters: Callable[[Settings, list[Line]], Mapping[str, Decimal]]  # from the settings, and from AWS's lines


@dataclass(frozen=True)
class Compared:
    """A part's month here and elsewhere. None: what it would take has no dated price there."""

    part: Part
    aws: Decimal
    others: Mapping[str, Decimal | None]
    missing: Mapping[str, tuple[str, ...]]  # the meters without a price, by cloud


def read(path: Path = TABLE) -> Rates:
    """The committed table. Raises Refused for one that is malformed."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    try:
        return {(row["cloud"], row["meter"]): _rate(row) for row in rows}
    except (KeyError, TypeError, ValueError, InvalidOperation) as failure:
        raise Refused(f"{path.name}: a row is no dated price ({failure}). Restore it from git.", Exit.STATE) from None


def _rate(row: Mapping[str, str]) -> Rate:
    usd = Decimal(row["usd"])
    if not usd.is_finite() or usd <= 0 or not row["address"].startswith("https://"):
        raise ValueError(f"{row['meter']}: usd={row['usd']}, address={row['address']}")
    return Rate(usd, row["unit"], row["region"], date.fromisoformat(row["as_of"]), row["source"], row["address"])


def compared(settings: Settings, found: Estimate, rates: Rates) -> list[Compared]:
    """Every part; the last holds all lines that no other part does, for which nothing equal is known elsewhere."""
    left, rows = list(found.lines), list[Compared]()
    for part in PARTS:
        ours = [line for line in left if part.lines(line)]
        left = [line for line in left if not part.lines(line)]
        amounts = {cloud: _cost(part.meters(settings, ours), cloud, rates) for cloud in CLOUDS}
        rows.append(
            Compared(
                part,
                sum((line.cost.expected for line in ours if line.cost), Decimal(0)),
                {cloud: cost for cloud, (cost, _) in amounts.items()},
                {cloud: missing for cloud, (_, missing) in amounts.items()},
            )
        )
    return rows


def total(rows: list[Compared], cloud: str) -> Decimal | None:
    """The sum of a cloud's parts, or None while one of them has no price."""
    costs = [row.others[cloud] for row in rows]
    return None if None in costs else sum((cost for cost in costs if cost is not None), Decimal(0))


def _cost(meters: Mapping[str, Decimal], cloud: str, rates: Rates) -> tuple[Decimal | None, tuple[str, ...]]:
    missing = tuple(meter for meter in meters if (cloud, meter) not in rates)
    if missing:
        return None, missing
    return sum((rates[cloud, meter].usd * quantity for meter, quantity in meters.items()), Decimal(0)), ()


def _database(settings: Settings, _: list[Line]) -> dict[str, Decimal]:
    """Two of them where a standby runs: both others bill it as a second server."""
    database = settings.database
    kind = shape(database.instance_class.removeprefix("db."))
    hours = HOURS * (2 if database.multi_az else 1)
    vcpu, gib = (kind.vcpu if kind else 0), DATABASE_MEMORY_GIB[database.instance_class]
    return {"PostgreSQL vCPU": vcpu * hours, "PostgreSQL memory": gib * hours}


def _storage(settings: Settings, _: list[Line]) -> dict[str, Decimal]:
    return {"PostgreSQL storage": Decimal(settings.database.storage_gib * (2 if settings.database.multi_az else 1))}


def _machines(_settings: Settings, ours: list[Line]) -> dict[str, Decimal]:
    """Hours of machines as large as AWS's, on demand and on Spot."""
    hours: dict[str, Decimal] = {}
    for line in ours:
        use, _, name = line.usage_type.rpartition(":")
        kind = shape(name)
        terms = "on Spot" if use.endswith("SpotUsage") else "on demand"
        meter = f"machine of {kind.vcpu} vCPUs and {kind.memory_gib:g} GiB {terms}" if kind else f"machine {terms}"
        hours[meter] = hours.get(meter, Decimal(0)) + (line.quantity.expected if line.quantity else 0)
    return hours


def _cache(_settings: Settings, ours: list[Line]) -> dict[str, Decimal]:
    return {
        f"cache like {line.usage_type.rpartition(':')[2]}": line.quantity.expected for line in ours if line.quantity
    }


PARTS = (
    Part(
        "control plane",
        {"aws": "EKS", "azure": "AKS, Standard tier", "gcp": "GKE"},
        lambda line: "AmazonEKS-Hours" in line.usage_type,
        lambda _, __: {"Kubernetes cluster": HOURS},
    ),
    Part(
        "system nodes",
        {"aws": "EC2", "azure": "Virtual Machines", "gcp": "Compute Engine"},
        lambda line: "NodeGroup" in line.urn,
        _machines,
    ),
    Part(
        "worker nodes",
        {"aws": "EC2, on demand and Spot", "azure": "Virtual Machines", "gcp": "Compute Engine"},
        lambda line: "NodePool" in line.urn,
        _machines,
    ),
    Part(
        "database",
        {"aws": "RDS", "azure": "PostgreSQL Flexible Server", "gcp": "Cloud SQL"},
        lambda line: "Usage:db." in line.usage_type,
        _database,
    ),
    Part(
        "database storage",
        {"aws": "RDS", "azure": "PostgreSQL Flexible Server", "gcp": "Cloud SQL"},
        lambda line: "RDS:" in line.usage_type and "Storage" in line.usage_type,
        _storage,
    ),
    Part(
        "cache",
        {"aws": "ElastiCache", "azure": "Cache for Redis", "gcp": "Memorystore"},
        lambda line: "NodeUsage:" in line.usage_type,
        _cache,
    ),
    Part(
        "all else",
        {"aws": "network, logs, keys, backups", "azure": "", "gcp": ""},
        lambda _: True,
        lambda _, __: {"network, logs, keys and backups": Decimal(1)},
    ),
)
