"""What the graph cannot tell: how much is used. One small file per environment, every number low, expected and high."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from stacks.cost.amounts import NOTHING, Range, exactly
from stacks.terminal import Refused

FOLDER = Path(__file__).resolve().parent / "usage"


def _range(value: object) -> Range:
    """A number, or a mapping of low, expected and high."""
    try:
        return value if isinstance(value, Range) else _read_range(value)
    except InvalidOperation:
        raise ValueError("give a number, or low, expected and high") from None


def _read_range(value: object) -> Range:
    if isinstance(value, dict):
        given = cast("dict[str, object]", value)
        if set(given) != {"low", "expected", "high"}:
            raise ValueError("give a number, or low, expected and high")
        found = Range(*(Decimal(str(given[key])) for key in ("low", "expected", "high")))
    elif isinstance(value, int | float | str) and not isinstance(value, bool):
        found = exactly(value)
    else:
        raise ValueError("give a number, or low, expected and high")  # noqa: TRY004 - pydantic reads ValueError only
    if found.low < 0 or not found.high.is_finite():
        raise ValueError("must not be negative")
    return found


Amount = Annotated[Range, BeforeValidator(_range)]
Share = Annotated[Decimal, Field(ge=0, le=1)]


class Model(BaseModel):
    """Frozen and closed: a misspelt key is a mistake, not an assumption."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, arbitrary_types_allowed=True
    )


class Workers(Model):
    """Worker nodes running on the average over a month, on demand and on Spot."""

    on_demand_nodes: Amount = NOTHING
    spot_nodes: Amount = NOTHING
    instance_type: str | None = None  # the one most of them are; default: the median price of the pool's types


class Spot(Model):
    """Discount on the on-demand price. Default: what the shipped Spot Advisor sample says of the pool's types."""

    discount: Share | None = None


class Traffic(Model):
    """Gigabytes a month through each door. Cross-zone traffic is billed on both sides: give what crosses, once."""

    nat_gb: Amount = NOTHING
    internet_gb: Amount = NOTHING
    cross_zone_gb: Amount = NOTHING
    other_region_gb: Amount = NOTHING
    endpoint_gb: Amount = NOTHING
    load_balancer_units: Amount = NOTHING  # LCU, on the average of all hours


class Logs(Model):
    """Gigabytes that a log group takes in a month, by its logical name."""

    groups: dict[str, Amount] = Field(default_factory=dict)
    other_groups_gb: Amount = NOTHING  # each of those that are not named
    stored_share: Share = Decimal("0.15")  # CloudWatch keeps and bills them compressed
    scanned_gb: Amount = NOTHING


class Storage(Model):
    """Gigabytes kept, and requests."""

    buckets: dict[str, Amount] = Field(default_factory=dict)  # by logical name
    persistent_volumes_gb: Amount = NOTHING  # claims inside the cluster, which the graph does not show
    database_backup_beyond_gb: Amount = NOTHING  # RDS keeps as much as the allocated storage for nothing
    cache_backup_gb: Amount = NOTHING
    backup_vault_gb: Amount = NOTHING
    key_requests: Amount = NOTHING
    secret_requests: Amount = NOTHING
    managed_secrets: int = Field(default=1, ge=0)  # RDS makes the master password's itself
    firewall_requests: Amount = NOTHING


class Usage(Model):
    """The assumptions of one environment."""

    workers: Workers = Workers()
    spot: Spot = Spot()
    traffic: Traffic = Traffic()
    logs: Logs = Logs()
    storage: Storage = Storage()
    hours: Amount = exactly(730)  # that nodes run in a month; fewer where an environment is off at night
    runs_per_month: Annotated[int, Field(gt=0)] | None = None  # the load that traffic, logs and storage are of


def scaled(usage: Usage, runs_per_month: Decimal) -> Usage:
    """The same at another load: traffic, logs and what is stored, in proportion to the runs of a month."""
    if usage.runs_per_month is None:
        raise Refused("runsPerMonth=(absent): what the usage file assumes is of no known load. Set it there.")
    factor = runs_per_month / usage.runs_per_month
    kept = {"persistent_volumes_gb", "secret_requests"}  # of the cluster, not of its load

    def times(part: Model) -> dict[str, Any]:
        return {name: _times(value, factor) for name, value in part if name not in kept}

    return usage.model_copy(
        update={
            name: part.model_copy(update=times(part))
            for name, part in (("traffic", usage.traffic), ("logs", usage.logs), ("storage", usage.storage))
        }
    )


def _times(value: Any, factor: Decimal) -> Any:
    if isinstance(value, Range):
        return value * factor
    if isinstance(value, dict):
        return {name: _times(part, factor) for name, part in cast("dict[str, Any]", value).items()}
    return value


def read(environment: str, folder: Path = FOLDER) -> Usage:
    """The usage file of an environment. Raises Refused for an absent or a malformed one."""
    path = folder / f"{environment}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in folder.glob("*.yaml")))
        raise Refused(f"environment={environment}: there is no usage file {path.name}. Known: {known}. Write one.")
    try:
        return parse(yaml.safe_load(path.read_text()), path.name)
    except yaml.YAMLError as failure:
        raise Refused(f"{path.name}: is not valid YAML: {failure}. Correct the file.") from None


def parse(document: Any, source: str) -> Usage:
    """Usage from plain data; a refusal names each field, its value, the rule, and what to do."""
    try:
        return Usage.model_validate(document or {})
    except ValidationError as failure:
        lines = [
            f"{source}: {'.'.join(str(part) for part in row['loc'])}={row['input']!r}: {row['msg']}."
            for row in failure.errors()
        ]
        raise Refused("\n".join([*lines, "Correct the usage file."])) from None
