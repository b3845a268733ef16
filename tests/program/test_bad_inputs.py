"""What would fail in a cluster only, or work there and do harm, is refused while the program is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from infra.kubernetes import flows
from infra.kubernetes.flows import Flow, Pods
from infra.kubernetes.labels import COMPONENT
from infra.problems import SettingsError
from infra.settings import Settings
from stacks.capture import capture
from tests.environments import settings_of

UTILISATION = "the HPAs' CPU target is a Utilization of the request, which the VPA would move under it"


@dataclass(frozen=True)
class Refused:
    """A mistake, and what is said of it: field and value, rule, remedy."""

    said: tuple[str, str, str]
    changes: dict[str, Any] = field(default_factory=dict[str, Any])
    flow: Flow | None = None  # one more, as somebody would write it into infra/kubernetes/flows.py


BAD_INPUTS = {
    "an HPA's minimum above its maximum": Refused(
        ("service.workers.minReplicas=9", "exceeds maxReplicas=6", "Lower minReplicas or raise maxReplicas."),
        {"service.workers.minReplicas": 9},
    ),
    "a VPA beside an HPA's Utilization of one resource": Refused(
        ("service.vertical.controls=cpu", UTILISATION, "Leave memory only"),
        {"service.vertical": {"controls": ["cpu", "memory"]}},
    ),
    "a grace period over the Spot notice": Refused(
        ("service.drainSeconds=90", "a grace period of 125 s, and Spot gives 120 s in all", "Lower it to 84 or less."),
        {"service.drainSeconds": 90},
    ),
    "a mutable tag": Refused(
        ("service.image='registry.example.com/agent:latest'", "@sha256:[0-9a-f]{64}", "Write it in that form."),
        {"service.image": "registry.example.com/agent:latest"},
    ),
    "a network policy that selects nothing": Refused(
        ("flow reports=app.kubernetes.io/component in ['reprots']", "selects no pod of namespace agent", "Correct the flow"),
        flow=Flow("reports", Pods("agent", {COMPONENT: ("api", "reprots")}), Pods("agent"), (443,)),
    ),
    "replicas × requests above what the pools can give": Refused(
        ("service.workers.maxReplicas=300", "and nodes.workers.maxNodes is 4", "Raise nodes.workers.maxNodes or lower"),
        {"service.workers.maxReplicas": 300},
    ),
    "a Spot pool of too few types": Refused(
        ("nodes.workers.instanceTypes=1 types", "Spot needs at least 15", "Add types of similar size."),
        {"nodes.workers.instanceTypes": ["m7i.xlarge"]},
    ),
    "a Spot pool of too few families": Refused(
        ("nodes.workers.instanceTypes=2 families", "Spot needs at least 3", "Add c, m or r families."),
        {"nodes.workers.instanceTypes": [f"{family}.{size}xlarge" for family in ("m6i", "m7i") for size in ("", 2, 4, 8, 12, 16, 24, 32)]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", BAD_INPUTS)
def test_a_bad_input_is_refused_at_synthesis_with_field_value_rule_and_remedy(
    mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = BAD_INPUTS[mistake]
    if row.flow:
        slip = row.flow

        def with_slip(settings: Settings) -> Iterator[Flow]:
            yield from flows.flows(settings)
            yield slip

        monkeypatch.setattr("infra.kubernetes.network_policy.flows", with_slip)
    with pytest.raises(SettingsError) as refused:
        capture(settings_of("dev", row.changes, image="service.image" not in row.changes), "dev", preview=True)
    for part in row.said:
        assert part in str(refused.value)
