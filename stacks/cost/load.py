"""What users ask of a service: runs a second and in flight by Little's law, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import Field, ValidationError

from infra.quantities import millicores
from infra.settings.service import Workers
from stacks.cost.usage import Model
from stacks.terminal import Refused

SECONDS_OF_MONTH = 730 * 3600
HEADROOM = 1.25  # pods above what the runs in flight fill, for the minutes in which more are starting


def _given(default: float, what: str, most: float = 1e6) -> float:
    return Field(default, gt=0, le=most, allow_inf_nan=False, description=what)


class Load(Model):
    """The inputs; each default is the reference load's and is to be replaced by what you measured."""

    users: Annotated[int, Field(gt=0, le=10_000_000, description="people at work at the same time")]
    think_seconds: float = _given(60, "between a user's runs")
    run_seconds: float = _given(12, "that a run takes")
    cpu_seconds: float = _given(0.6, "of the service in a run: `python -m app bench`, CPU ms")
    database_cpu_seconds: float = _given(0.01, "of PostgreSQL in a run: the same, PostgreSQL")
    tokens: float = _given(3000, "of the language model in a run")
    messages_per_second: float = _given(20, "streamed by a run")
    stream_kb: float = _given(100, "of a run's stream, kept in Valkey while it runs")
    supersteps: float = _given(5, "of a run, each of which writes a checkpoint")
    checkpoint_kb: float = _given(10, "written in a superstep")
    keep_days: float = _given(1, "for which older checkpoints are kept", 3650)
    average: float = _given(0.45, "load of a month as a part of its peak", 1)
    users_per_api_pod: float = _given(250, "whose streams one pod of the API holds open")


def load_of(values: Mapping[str, object]) -> Load:
    """Inputs, or a refusal that names each wrong one with its value and the rule."""
    try:
        return Load.model_validate(values)
    except ValidationError as failure:
        lines = [
            f"--{str(row['loc'][0]).replace('_', '-')}={row['input']}: {row['msg'][0].lower()}{row['msg'][1:]}."
            for row in failure.errors()
        ]
        raise Refused("\n".join([*lines, "`python -m stacks.cost plan --help` says what each means."])) from None


def load_of_month(runs: int) -> Load:
    """The load of so many runs a month, all else as by default."""
    one = load_of({"users": 1})
    rate = runs / SECONDS_OF_MONTH / one.average
    return load_of({"users": max(round(rate * (one.think_seconds + one.run_seconds)), 1)})


@dataclass(frozen=True)
class Demand:
    """A load as numbers of runs, pods, messages and bytes."""

    runs_per_second: float
    in_flight: float
    pods_by_runs: int
    pods_by_cpu: int
    api_pods: int
    database_vcpu: float
    tokens_per_minute: float
    messages_per_second: float
    stream_gib: float
    checkpoint_gb_per_day: float
    runs_per_month: Decimal

    @property
    def worker_pods(self) -> int:
        """Whichever of the HPA's targets asks for more."""
        return max(self.pods_by_runs, self.pods_by_cpu)


def demand(load: Load, workers: Workers) -> Demand:
    """What a load asks of pods with these targets at its peak; bytes and months are of the average."""
    rate = load.users / (load.think_seconds + load.run_seconds)
    in_flight = rate * load.run_seconds
    busy = millicores(workers.cpu_request) / 1000 * workers.cpu_percent / 100  # cores of a pod at the HPA's target
    return Demand(
        runs_per_second=rate,
        in_flight=in_flight,
        pods_by_runs=math.ceil(in_flight / workers.active_runs * HEADROOM),
        pods_by_cpu=math.ceil(rate * load.cpu_seconds / busy),
        api_pods=math.ceil(load.users / load.users_per_api_pod),
        database_vcpu=rate * load.database_cpu_seconds,
        tokens_per_minute=rate * 60 * load.tokens,
        messages_per_second=in_flight * load.messages_per_second,
        stream_gib=in_flight * load.stream_kb * 1000 / 2**30,
        checkpoint_gb_per_day=rate * 86_400 * load.average * load.supersteps * load.checkpoint_kb / 1e6,
        runs_per_month=Decimal(str(rate * load.average)) * SECONDS_OF_MONTH,
    )
