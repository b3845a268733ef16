"""prometheus-adapter's rules: the two metrics that the workers' HPA asks for, and no other."""

from __future__ import annotations

from typing import Any

from app import contract

ACTIVE_RUNS = contract.METRIC_ACTIVE_WORKFLOWS  # custom.metrics.k8s.io, of each pod
QUEUED_RUNS = contract.METRIC_QUEUE_DEPTH  # external.metrics.k8s.io, of the namespace


def adapter_rules() -> dict[str, Any]:
    """The value ``rules`` of the chart prometheus-adapter. Without the defaults: they list every series there is."""
    namespace = {"namespace": {"resource": "namespace"}}
    return {
        "default": False,
        "custom": [
            {
                "seriesQuery": f'{ACTIVE_RUNS}{{namespace!="",pod!=""}}',
                "resources": {"overrides": {**namespace, "pod": {"resource": "pod"}}},
                "name": {"as": ACTIVE_RUNS},
                # Of one pod at a time: the HPA averages over pods, an average here would be divided twice.
                "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
            }
        ],
        "external": [
            {
                "seriesQuery": f'{QUEUED_RUNS}{{namespace!=""}}',
                "resources": {"overrides": namespace},
                "name": {"as": QUEUED_RUNS},
                # Every process reports the whole queue, so the largest answer of each priority counts, once.
                "metricsQuery": "sum(max(<<.Series>>{<<.LabelMatchers>>}) by (namespace, priority)) by (namespace)",
            }
        ],
    }
