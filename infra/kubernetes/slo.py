"""What the service promises, as PromQL: one set of indicators for alerts, dashboards and the canary's analysis.

``where`` is a list of label matchers ("" for all pods), so that a canary is judged by the same words as the service.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app import contract
from infra.kubernetes.labels import ROLLOUT_HASH

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
SLOW_SECONDS = "2.0"  # an edge of the service's histograms
# Probes and scrapes are no users, and a pod that is not ready says so by 503.
SERVED = 'route_class!="operations"'
INTERACTIVE = f'route_class="{contract.ROUTE_CLASS_INTERACTIVE}"'

CANARY_WINDOW = "2m"
CANARY_LABEL = ROLLOUT_HASH.replace("-", "_")  # as Prometheus spells it
CANARY_MINIMUM = 20  # requests in the window: a share of fewer says nothing


@dataclass(frozen=True)
class Objective:
    """At most ``budget`` of the events are bad; ``bad`` gives their share over a window, and nothing without traffic."""

    name: str
    promise: str
    budget: float
    bad: Callable[[str, str], str]


@dataclass(frozen=True)
class CanaryGate:
    """One measurement of a canary. Too little traffic gives no result, which neither condition holds for: inconclusive."""

    name: str
    query: str
    limit: float

    @property
    def success_condition(self) -> str:
        return f"len(result) > 0 && result[0] <= {self.limit}"

    @property
    def failure_condition(self) -> str:
        return f"len(result) > 0 && result[0] > {self.limit}"


def request_rate(window: str, where: str = "") -> str:
    """Answered requests per second."""
    return f"sum(rate({_series(contract.METRIC_HTTP_REQUESTS, SERVED, where)}[{window}]))"


def failed_share(window: str, where: str = "") -> str:
    """Share of requests that were answered with 5xx; 0, and not nothing, while no such answer was ever given."""
    failed = _series(contract.METRIC_HTTP_REQUESTS, SERVED, 'code=~"5.."', where)
    return f"(sum(rate({failed}[{window}])) or vector(0)) / ({request_rate(window, where)} > 0)"


def slow_share(window: str, where: str = "") -> str:
    """Share of interactive requests that took 2 s or longer."""
    return _beyond(contract.METRIC_HTTP_DURATION, window, INTERACTIVE, where)


def late_share(window: str, where: str = "") -> str:
    """Share of streams whose first event took 2 s or longer."""
    return _beyond(contract.METRIC_TIME_TO_FIRST_EVENT, window, where)


OBJECTIVES = (
    Objective("availability", "99.9 % of requests are not answered with 5xx", 0.001, failed_share),
    Objective("latency", "95 % of interactive requests take less than 2 s", 0.05, slow_share),
    Objective("first_event", "95 % of streams begin within 2 s", 0.05, late_share),
)


def canary_gates(pod_hash: str) -> tuple[CanaryGate, ...]:
    """The measurements of an AnalysisTemplate.

    A few minutes of 5 % of the traffic cannot show a promise of 99.9 %: the limits catch what is plainly broken, the
    burn-rate alerts the rest.
    """
    where = f'{CANARY_LABEL}="{pod_hash}"'
    requests = _series(contract.METRIC_HTTP_REQUESTS, SERVED, where)
    interactive = _series(contract.METRIC_HTTP_DURATION + "_count", INTERACTIVE, where)
    return (
        CanaryGate("failed", _guarded(failed_share(CANARY_WINDOW, where), requests), 0.01),
        CanaryGate("slow", _guarded(slow_share(CANARY_WINDOW, where), interactive), 0.1),
    )


def _guarded(share: str, series: str) -> str:
    return f"({share}) and (sum(increase({series}[{CANARY_WINDOW}])) >= {CANARY_MINIMUM})"


def _beyond(histogram: str, window: str, *matchers: str) -> str:
    fast = _series(f"{histogram}_bucket", *matchers, f'le="{SLOW_SECONDS}"')
    every = _series(f"{histogram}_count", *matchers)
    return f"1 - sum(rate({fast}[{window}])) / (sum(rate({every}[{window}])) > 0)"


def _series(name: str, *matchers: str) -> str:
    return f"{name}{{{','.join(filter(None, matchers))}}}"
