"""What the platform asks of the image is what the service offers, and nothing is asked that nobody declares."""

from __future__ import annotations

from typing import Any

import pytest

from app import contract
from infra.kubernetes import service
from tests.environments import graph_of

DECLARED = {value for name, value in vars(contract).items() if name.startswith("ENV_")}


def container(stack: str) -> dict[str, Any]:
    deployment = graph_of(stack).one("kubernetes:apps/v1:Deployment")
    return deployment.inputs["spec"]["template"]["spec"]["containers"][0]


def test_ports_paths_and_drain_time_are_the_same_on_both_sides() -> None:
    for name in ("PORT", "METRICS_PORT", "LIVE_PATH", "READY_PATH", "DRAIN_SECONDS"):
        assert getattr(service, name) == getattr(contract, name), name


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_every_environment_variable_of_the_deployment_is_one_the_service_reads(stack: str) -> None:
    names = {row["name"] for row in container(stack)["env"]}
    assert names <= DECLARED
    assert contract.ENV_DATABASE_URL in names


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_pod_runs_as_the_user_of_the_image(stack: str) -> None:
    pod = graph_of(stack).one("kubernetes:apps/v1:Deployment").inputs["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == contract.USER_ID
