"""The workers' autoscaler as it is shipped, judged by the real controller; only its windows are scaled down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.api import Manifest, until
from tests.cluster.control_plane import ControlPlane
from tests.cluster.manifests import IMAGE
from tests.cluster.metrics import Metrics, served
from tests.cluster.nodes import launch
from tests.cluster.program import applied, named
from tests.environments import settings_of

pytestmark = pytest.mark.cluster
WORKERS = "agent-workers"
SECONDS = {0: 0, 15: 3, 60: 2, 600: 4}  # what stands for the shipped windows and periods
MOST = 14  # replicas: more than two steps up, and not so many that the way down takes minutes
CHANGES = {"service.image": IMAGE}


@dataclass(frozen=True)
class Scaled:
    """The workers under their autoscaler, and what is measured of them."""

    server: ControlPlane
    metrics: Metrics
    autoscaler: Manifest

    @property
    def bounds(self) -> tuple[int, int]:
        return self.autoscaler["spec"]["minReplicas"], self.autoscaler["spec"]["maxReplicas"]

    def replicas(self) -> int:
        return self.server.api.one("apps/v1", "Deployment", WORKERS, self._namespace)["spec"]["replicas"]

    def changes(self) -> int:
        """How often the Deployment's spec was written: each write is one more generation."""
        return self.server.api.one("apps/v1", "Deployment", WORKERS, self._namespace)["metadata"]["generation"]

    def conditions(self) -> dict[str, str]:
        live = self.server.api.get(self.autoscaler) or {}
        return {row["type"]: row["status"] for row in live.get("status", {}).get("conditions", [])}

    def idle(self) -> None:
        """Nothing to do: every metric is there and low."""
        self.metrics.containers = {"agent": {"cpu": "10m", "memory": "50Mi"}}
        self.metrics.pods = dict.fromkeys(self._named("pods"), "0")
        self.metrics.external = dict.fromkeys(self._named("external"), "0")

    def busy(self, metric: str) -> None:
        """Everything idle but for one metric, which is far above its target."""
        self.idle()
        match metric:
            case "cpu":
                self.metrics.containers["agent"]["cpu"] = "4"
            case "memory":
                self.metrics.containers["agent"]["memory"] = "20Gi"
            case "active runs":
                self.metrics.pods = dict.fromkeys(self.metrics.pods, "100")
            case _:
                self.metrics.external = dict.fromkeys(self.metrics.external, "1000")

    def missing(self, metric: str) -> None:
        """One metric's source is gone."""
        match metric:
            case "cpu" | "memory":
                self.metrics.containers = {}
            case "active runs":
                self.metrics.pods = {}
            case _:
                self.metrics.external = {}

    def at_minimum(self) -> None:
        """Start of a test: idle at the minimum, and a controller that remembers nothing."""
        self.server.api.delete(self.autoscaler)
        self.idle()
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": self.autoscaler["metadata"]}
        self.server.api.merge(target, {"spec": {"replicas": self.bounds[0]}})
        until(lambda: len(self.pods()) == self.bounds[0], 30, "at the minimum")
        self.server.api.apply(self.autoscaler)
        until(lambda: self.conditions().get("ScalingActive") == "True", 30, "an active autoscaler")

    def pods(self) -> list[Manifest]:
        labels = self.server.api.one("apps/v1", "Deployment", WORKERS, self._namespace)["spec"]["selector"][
            "matchLabels"
        ]
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        return self.server.api.all("v1", "Pod", self._namespace, labelSelector=selector)

    @property
    def _namespace(self) -> str:
        return self.autoscaler["metadata"]["namespace"]

    def _named(self, source: str) -> list[str]:
        return [row[source]["metric"]["name"] for row in self.autoscaler["spec"]["metrics"] if source in row]


@pytest.fixture(scope="module")
def scaled(server: ControlPlane) -> Iterator[Scaled]:
    """dev's objects; the autoscaler with short windows, and no other."""
    launch(server, settings_of("dev"), each=4)
    graph = applied(server, "dev", CHANGES)
    autoscaler = named(graph, "HorizontalPodAutoscaler", WORKERS)
    autoscaler["spec"]["maxReplicas"] = MOST
    for rules in autoscaler["spec"]["behavior"].values():
        rules["stabilizationWindowSeconds"] = SECONDS[rules["stabilizationWindowSeconds"]]
        for policy in rules["policies"]:
            policy["periodSeconds"] = SECONDS[policy["periodSeconds"]]
    with served(server) as metrics:
        server.api.apply(autoscaler)
        yield Scaled(server, metrics, autoscaler)


@pytest.mark.parametrize("metric", ["cpu", "memory", "active runs", "queued runs"])
def test_each_metric_alone_scales_up_by_the_policies_to_the_maximum(scaled: Scaled, metric: str) -> None:
    scaled.at_minimum()
    least, most = scaled.bounds
    scaled.busy(metric)
    seen = history(scaled.replicas, most, 40)
    assert (seen[0][1], seen[-1][1]) == (least, most)
    # In any period at most as many again, or eight. A change is seen up to a second late on a busy machine, so what
    # stood one second inside the period may have stood at its start.
    for at, count in seen:
        before = max((c for t, c in seen if t <= at - (SECONDS[15] - 1)), default=least)
        assert count <= max(2 * before, before + 8), seen
    time.sleep(2)
    assert scaled.replicas() == most


@pytest.mark.parametrize("metric", ["cpu", "active runs", "queued runs"])
def test_nothing_is_scaled_down_while_a_metric_is_missing(scaled: Scaled, metric: str) -> None:
    scaled.at_minimum()
    scaled.busy("queued runs")
    _, most = scaled.bounds
    until(lambda: scaled.replicas() == most, 40, "scaled up")
    scaled.idle()
    scaled.missing(metric)
    deadline = time.monotonic() + SECONDS[600] + 3  # longer than the window
    while time.monotonic() < deadline:
        assert scaled.replicas() == most
        time.sleep(0.3)


def test_after_the_window_replicas_return_step_by_step(scaled: Scaled) -> None:
    scaled.at_minimum()
    scaled.busy("queued runs")
    least, most = scaled.bounds
    until(lambda: scaled.replicas() == most, 40, "scaled up")
    scaled.idle()
    quiet, changes = time.monotonic(), scaled.changes()
    seen = history(scaled.replicas, least, 90)
    assert seen[-1][1] == least
    assert seen[1][0] - quiet >= SECONDS[600] - 1.5  # what was measured last before it was quiet counts, too
    # 10 %, rounded up, or two pods in a period, whichever is less. Counted by the server: two steps can lie between two
    # looks.
    fewest, left = 0, most
    while left > least:
        fewest, left = fewest + 1, max(left - 2, left * 9 // 10)
    assert scaled.changes() - changes >= fewest


def test_with_no_replicas_it_rests_whatever_waits_and_it_goes_on_when_there_is_one(scaled: Scaled) -> None:
    """A night of offHours: kubernetes.io, Horizontal Pod Autoscaling, implicit maintenance-mode deactivation."""
    scaled.at_minimum()
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": scaled.autoscaler["metadata"]}
    scaled.server.api.merge(deployment, {"spec": {"replicas": 0}}, "/scale")
    until(lambda: scaled.conditions().get("ScalingActive") == "False", 30, "an autoscaler at rest")
    scaled.busy("queued runs")
    deadline = time.monotonic() + SECONDS[15]  # some of the controller's rounds
    while time.monotonic() < deadline:
        assert scaled.replicas() == 0
        time.sleep(0.3)
    scaled.server.api.merge(deployment, {"spec": {"replicas": 1}}, "/scale")
    _, most = scaled.bounds
    until(lambda: scaled.replicas() == most, 40, "scaled up")


def history(ask: Callable[[], int], wanted: int, seconds: float) -> list[tuple[float, int]]:
    """Each value with its time, until the wanted one is there or the time is over."""
    seen = [(time.monotonic(), ask())]
    deadline = time.monotonic() + seconds
    while seen[-1][1] != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
        now = ask()
        if now != seen[-1][1]:
            seen.append((time.monotonic(), now))
    return seen
