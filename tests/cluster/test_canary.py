"""Production's canary by Argo's own controller on a real API server: a minute of the steps is a second here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.api import ApiError, Manifest, until
from tests.cluster.control_plane import ControlPlane, free_ports
from tests.cluster.manifests import IMAGE, NEVER_READY, NEWER
from tests.cluster.nodes import launch
from tests.cluster.program import applied, named
from tests.cluster.prometheus import Prometheus, served
from tests.cluster.readiness import is_ready
from tests.environments import settings_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


def quick(durations: Any) -> Any:
    """The same with a second for each minute."""
    return json.loads(re.sub(r'"(\d+)m"', lambda found: f'"{found[1]}s"', json.dumps(durations)))


@dataclass(frozen=True)
class Canary:
    """prod's API, and what its analysis is told."""

    server: ControlPlane
    manifest: Manifest
    prometheus: Prometheus

    def deploy(self, image: str) -> None:
        """As pulumi does, which takes no field from the controller."""
        changed = deepcopy(self.manifest)
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = image
        self.server.api.apply(changed, force=False)

    def live(self) -> Manifest:
        return self.server.api.one("argoproj.io/v1alpha1", "Rollout", *self.place)

    @property
    def place(self) -> tuple[str, str]:
        return self.manifest["metadata"]["name"], self.manifest["metadata"]["namespace"]

    def phase(self) -> str:
        """What the controller says of what it was last given."""
        live = self.live()
        seen = live.get("status", {}).get("observedGeneration") == str(live["metadata"]["generation"])
        return live["status"].get("phase", "") if seen else ""

    def pods(self, image: str = "") -> list[Manifest]:
        """Those that stay."""
        labels = self.manifest["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found = self.server.api.all("v1", "Pod", self.place[1], labelSelector=selector)
        return [
            pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"] and image in pod["spec"]["containers"][0]["image"]
        ]

    def ready(self) -> int:
        return sum(is_ready(pod) for pod in self.pods())

    def settled(self, phase: str, seconds: float = 90) -> None:
        until(lambda: self.phase() == phase, seconds, f"phase {phase}")


@pytest.fixture(scope="module")
def canary(server: ControlPlane) -> Iterator[Canary]:
    launch(server, settings_of("prod"))
    graph = applied(server, "prod", {"service.image": IMAGE})
    rollout = named(graph, "Rollout", "agent-api")
    rollout["spec"]["strategy"] = quick(rollout["spec"]["strategy"])
    with served() as prometheus:
        analysis = quick(named(graph, "AnalysisTemplate", "agent-api"))
        for metric in analysis["spec"]["metrics"]:
            metric["provider"]["prometheus"]["address"] = prometheus.address
        server.api.apply(analysis)
        server.api.apply(rollout)
        metrics, health = free_ports(2)
        server.run(
            "rollouts-controller",
            f"--kubeconfig={server.kubeconfig}",
            "--leader-elect=false",
            f"--metricsPort={metrics}",
            f"--healthzPort={health}",
        )
        yield Canary(server, rollout, prometheus)


@pytest.fixture(autouse=True)
def healthy(canary: Canary) -> None:
    """The old version on all pods that the HPA wants."""
    canary.deploy(IMAGE)
    canary.settled("Healthy")
    least = settings_of("prod").service.api.min_replicas
    until(lambda: len(canary.pods(IMAGE)) == canary.ready() == least, 60, f"{least} pods of the old version")


def test_a_version_that_does_well_gets_all_pods_step_by_step_and_none_is_missed(canary: Canary) -> None:
    canary.prometheus.value = 0.0
    wanted, seen, least = len(canary.pods()), [0], canary.ready()
    canary.deploy(NEWER)

    def promoted() -> bool:
        nonlocal least
        new, least = len(canary.pods(NEWER)), min(least, canary.ready())
        if new != seen[-1]:
            seen.append(new)
        return canary.phase() == "Healthy" and not canary.pods(IMAGE)

    until(promoted, 120, "the new version everywhere")
    assert seen == sorted(seen)
    assert {1, 2, 5, wanted} <= set(seen)  # of ten while one more is allowed
    assert least >= wanted
    [queried] = {hash_ for query in canary.prometheus.asked for hash_ in re.findall(r'template_hash="(\w+)"', query)}
    assert {pod["metadata"]["labels"]["rollouts-pod-template-hash"] for pod in canary.pods()} == {queried}
    # Nothing of what the controller wrote is a difference to the program's.
    live = canary.live()["spec"]
    canary.deploy(NEWER)
    assert canary.live()["spec"] == live


def test_a_version_that_fails_its_gates_is_taken_back_and_the_old_one_needs_no_restart(canary: Canary) -> None:
    canary.prometheus.value = 0.5
    before = {pod["metadata"]["uid"] for pod in canary.pods()}
    canary.deploy(NEWER)
    canary.settled("Degraded")
    assert "failed" in canary.live()["status"]["message"]
    until(lambda: not canary.pods(NEWER), 60, "no pod of the new version")
    until(lambda: len(canary.pods(IMAGE)) == canary.ready() == len(before), 60, "the old version on every pod")
    after = {pod["metadata"]["uid"] for pod in canary.pods()}
    assert len(before - after) <= 2  # gone for the first steps

    canary.deploy(IMAGE)  # what the runbook says
    canary.settled("Healthy", 30)
    assert {pod["metadata"]["uid"] for pod in canary.pods()} == after


def test_a_version_that_nobody_asks_anything_waits_for_a_person_and_goes_on_when_promoted(canary: Canary) -> None:
    canary.prometheus.value = None

    def reasons() -> list[str]:
        paused: list[dict[str, str]] = canary.live()["status"].get("pauseConditions") or []
        return [row["reason"] for row in paused]

    canary.deploy(NEWER)
    until(lambda: "InconclusiveAnalysisRun" in reasons(), 60, "a pause for want of requests")
    assert len(canary.pods(IMAGE)) > len(canary.pods(NEWER)) > 0
    # As `kubectl argo rollouts promote --full`.
    canary.server.api.merge(canary.live(), {"status": {"promoteFull": True}}, "/status")
    canary.settled("Healthy")
    until(lambda: not canary.pods(IMAGE), 60, "the new version everywhere")


def test_a_version_that_never_gets_ready_is_taken_back_by_its_deadline(canary: Canary) -> None:
    canary.manifest["spec"]["progressDeadlineSeconds"] = 5  # for the ten minutes of the default
    try:
        canary.deploy(NEVER_READY)
        canary.settled("Degraded")
        until(lambda: not canary.pods(NEVER_READY), 60, "no pod of the new version")
        assert canary.ready() == len(canary.pods(IMAGE))
    finally:
        del canary.manifest["spec"]["progressDeadlineSeconds"]


@pytest.mark.parametrize(
    ("kind", "path", "value", "said"),
    [
        ("Rollout", "spec.strategy.canary.stepz", [], "field not declared in schema"),
        ("Rollout", "spec.revisionHistoryLimit", "five", "expected numeric"),
        ("AnalysisTemplate", "spec.metrics", [{"name": "failed"}], "spec.metrics[0].provider: Required value"),
    ],
)
def test_a_broken_one_is_refused_by_the_api_server(canary: Canary, kind: str, path: str, value: Any, said: str) -> None:
    broken: Manifest = deepcopy(canary.manifest)
    if kind != "Rollout":
        broken |= {"kind": kind, "spec": {}}
    *parents, last = path.split(".")
    target: Any = broken
    for part in parents:
        target = target[part]
    target[last] = value
    with pytest.raises(ApiError, match=re.escape(said)):
        canary.server.api.apply(broken, dry_run=True)


def test_a_weight_that_is_none_passes_the_schema_and_the_controller_says_so(canary: Canary) -> None:
    broken = deepcopy(canary.manifest)
    broken["spec"]["strategy"]["canary"]["steps"][0]["setWeight"] = 150
    canary.server.api.apply(broken)
    canary.settled("Degraded", 30)
    assert "InvalidSpec" in canary.live()["status"]["message"]
