"""How a pod of the service ends: out of the load balancer, drained, and gone before a Spot node is."""

from __future__ import annotations

from infra.settings import Settings

PRE_STOP_SECONDS = 15  # the load balancer takes the pod out before it stops listening
EXIT_SECONDS = 20  # to send the last answers (5 s, app/contract.py), to end, and for the kubelet to notice
SPOT_NOTICE_SECONDS = 120  # docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html


def grace_seconds(settings: Settings) -> int:
    """From the decision to end a pod until it is killed."""
    return PRE_STOP_SECONDS + settings.service.drain_seconds + EXIT_SECONDS
