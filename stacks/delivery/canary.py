"""How the canary that an update began stands, as the Rollout itself says (argo-rollouts types.go, RolloutStatus)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.kubernetes.labels import API, SERVICE_NAME
from infra.settings import Settings
from stacks.account import aws_errors, open_account
from stacks.cluster_api import ask, open_cluster
from stacks.terminal import Exit, Refused


@dataclass(frozen=True)
class Standing:
    """Whether all pods are of the new version, or what is known instead."""

    promoted: bool
    said: str


class Undecided(Refused):
    """The time is over, and neither is the new version good nor bad: people decide, nothing is taken back."""


def look(settings: Settings, stack: str) -> Standing:
    """The standing of a stack's canary. Raises Refused when it was taken back; not being able to look is no reason to."""
    try:
        with aws_errors("the canary's cluster"):
            cluster = open_cluster(open_account(settings, stack), settings.name)
        if cluster is None:
            return Standing(promoted=False, said="there is no cluster")
        with cluster:
            path = f"/apis/argoproj.io/v1alpha1/namespaces/{settings.service.namespace}/rollouts/{SERVICE_NAME}-{API}"
            rollout = ask(cluster, path)
    except Refused as refusal:
        return Standing(promoted=False, said=str(refusal))
    return standing_of(rollout)


def standing_of(rollout: Mapping[str, Any]) -> Standing:
    """Raises Refused for a new version that was taken back."""
    status: Mapping[str, Any] = rollout.get("status", {})
    # Until the controller has seen the update, the status is the version's before it.
    if status.get("observedGeneration") != str(rollout["metadata"]["generation"]):
        return Standing(promoted=False, said="Argo's controller has not seen the update")
    phase, message = status.get("phase", ""), status.get("message", "")
    if phase == "Degraded":
        raise Refused(f"the canary was taken back: {message or 'no reason given'}.", Exit.FAILED)
    return Standing(promoted=phase == "Healthy", said=f"{phase or 'no phase'}{f': {message}' if message else ''}")
