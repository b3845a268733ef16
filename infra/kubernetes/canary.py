"""Production's API changes by a canary: a growing share of its pods is new while Prometheus is asked how these do.

Argo Rollouts acts on it (docs/decisions/0011). What is asked, and what is good enough, is in slo.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi import ResourceOptions
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import PodTemplateSpecArgs
from pulumi_kubernetes.helm.v3 import Release
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.component import Component
from infra.kubernetes.charts import release, small
from infra.kubernetes.labels import API_LABELS, ROLLOUTS
from infra.kubernetes.monitoring import PROMETHEUS_URL
from infra.kubernetes.slo import CANARY_WINDOW, CanaryGate, canary_gates
from infra.settings import Settings
from infra.system_pods import system_pod

CONTROLLER = "argo-rollouts"
GROUP = "argoproj.io/v1alpha1"
# The new version's share of the pods, and for how long. 5 % is one pod, below twenty of them.
WEIGHTS = ((5, "5m"), (20, "5m"), (50, "5m"))
INTERVAL = "1m"
# Measurements that may fail, or say nothing: a stray error is in two windows, which overlap. The third aborts (or
# pauses, for a person to decide), four minutes after the first new pod is ready and before there is a second.
TOLERATED = 2
UNANSWERED = 3  # measurements in a row without Prometheus; the next aborts
HASH = "canary-hash"  # the argument by which the queries find the new pods


class RolloutController(Component):
    """Acts on Rollouts, in the whole cluster; with rights on no load balancer and no service mesh.

    Produces: Release argo-rollouts, with its CRDs, which stay when it goes.
    """

    release: Release

    def __init__(self, name: str, settings: Settings, opts: ResourceOptions) -> None:
        super().__init__(name, opts)
        values: dict[str, Any] = {
            "controller": {
                "replicas": system_pod(settings.environment, CONTROLLER).replicas,  # one of them leads
                "pdb": {"enabled": True, "maxUnavailable": 1},
                **small(settings, CONTROLLER),
            },
            "providerRBAC": {"enabled": False},
        }
        self.release = release(settings, CONTROLLER, ROLLOUTS, values, self.child())
        self.register_outputs({})


def rollout(
    owner: Component,
    name: str,
    metadata: ObjectMetaArgs,
    pod: PodTemplateSpecArgs,
    surge: str,
    depends_on: Sequence[pulumi.Resource],
) -> None:
    """A Rollout of the API's pods and the analysis that judges it, both named by ``metadata``."""
    analysis = CustomResource(
        name,
        api_version=GROUP,
        kind="AnalysisTemplate",
        metadata=metadata,
        spec={"args": [{"name": HASH}], "metrics": [_metric(gate) for gate in canary_gates(f"{{{{args.{HASH}}}}}")]},
        opts=owner.child(),
    )
    CustomResource(
        name,
        api_version=GROUP,
        kind="Rollout",
        metadata=metadata,
        spec={
            "selector": {"matchLabels": API_LABELS},
            "template": pod,
            # Pods that do not get ready within the default of ten minutes are a failure like any other.
            "progressDeadlineAbort": True,
            # Back to one of the last three versions at once, without steps.
            "rollbackWindow": {"revisions": 3},
            "revisionHistoryLimit": 5,
            "strategy": {"canary": _strategy(metadata, surge)},
        },
        # An explicit count would reset a scaled Rollout on every up.
        opts=owner.child(depends_on=[analysis, *depends_on], ignore_changes=["spec.replicas"]),
    )


def _strategy(metadata: ObjectMetaArgs, surge: str) -> dict[str, Any]:
    return {
        "maxSurge": surge,
        "maxUnavailable": 0,
        "steps": [
            *(step for weight, hold in WEIGHTS for step in ({"setWeight": weight}, {"pause": {"duration": hold}})),
            {"setWeight": 100},
        ],
        "analysis": {
            "templates": [{"templateName": metadata.name}],
            "startingStep": 1,  # after the first weight: from when its pods are ready
            "args": [{"name": HASH, "valueFrom": {"podTemplateHashValue": "Latest"}}],
        },
    }


def _metric(gate: CanaryGate) -> dict[str, Any]:
    return {
        "name": gate.name,
        "initialDelay": CANARY_WINDOW,
        "interval": INTERVAL,
        "successCondition": gate.success_condition,
        "failureCondition": gate.failure_condition,
        "failureLimit": TOLERATED,
        "inconclusiveLimit": TOLERATED,
        "consecutiveErrorLimit": UNANSWERED,
        "provider": {"prometheus": {"address": PROMETHEUS_URL, "query": gate.query}},
    }
