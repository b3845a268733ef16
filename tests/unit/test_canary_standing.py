"""What a delivery makes of its canary's Rollout."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from stacks.delivery import canary
from stacks.delivery.canary import Standing, Undecided, look, standing_of
from stacks.terminal import Refused
from tests.environments import graph_of, settings_of


def rollout(phase: str, message: str = "", seen: int = 3) -> dict[str, Any]:
    status = {"observedGeneration": str(seen), "phase": phase, "message": message}
    return {"metadata": {"generation": 3}, "status": status}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (rollout("Healthy"), Standing(promoted=True, said="Healthy")),
        (rollout("Healthy", seen=2), Standing(promoted=False, said="Argo's controller has not seen the update")),
        (rollout("Degraded", seen=2), Standing(promoted=False, said="Argo's controller has not seen the update")),
        (rollout("Progressing", "more replicas"), Standing(promoted=False, said="Progressing: more replicas")),
        (rollout("Paused", "CanaryPauseStep"), Standing(promoted=False, said="Paused: CanaryPauseStep")),
        ({"metadata": {"generation": 1}}, Standing(promoted=False, said="Argo's controller has not seen the update")),
    ],
)  # fmt: skip
def test_a_new_version_is_promoted_when_argo_calls_what_it_has_seen_healthy(
    found: dict[str, Any], expected: Standing
) -> None:
    assert standing_of(found) == expected


def test_a_new_version_that_was_taken_back_is_refused_with_argos_reason() -> None:
    with pytest.raises(Refused, match="the canary was taken back: RolloutAborted: metric failed") as refusal:
        standing_of(rollout("Degraded", "RolloutAborted: metric failed"))
    assert not isinstance(refusal.value, Undecided)


def test_the_programs_own_rollout_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/langgraph-agents@sha256:" + "1" * 64
    made = graph_of("prod", {"service.image": image}, preview=False)
    [metadata] = [found.inputs["metadata"] for found in made if found.kind == "Rollout"]
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json=rollout("Healthy"))

    def opened(*_: object) -> httpx.Client:
        return httpx.Client(base_url="https://cluster.test", transport=httpx.MockTransport(answer))

    monkeypatch.setattr(canary, "open_account", opened)
    monkeypatch.setattr(canary, "open_cluster", opened)
    assert look(settings_of("prod"), "prod").promoted
    assert asked == [f"/apis/argoproj.io/v1alpha1/namespaces/{metadata['namespace']}/rollouts/{metadata['name']}"]


def test_not_being_able_to_look_is_no_reason_to_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object) -> None:
        raise Refused("credentials: none")

    monkeypatch.setattr(canary, "open_account", closed)
    assert look(settings_of("prod"), "prod") == Standing(promoted=False, said="credentials: none")
