"""`make pipeline`'s path on the embedded cloud: green when the service answers, and the old version when it does not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from stacks.delivery.canary import Undecided
from stacks.delivery.deliver import apply, plan
from stacks.delivery.drift import Look, look
from stacks.delivery.target import Embedded, standing_image, state_of
from stacks.embedded.store import Store
from stacks.terminal import Refused
from tests.engine.standing import Standing
from tests.environments import config_of

pytestmark = [pytest.mark.engine, pytest.mark.timeout(580)]
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/agents"
FIRST, SECOND = (f"{REGISTRY}@sha256:{digit * 64}" for digit in "12")


def failing() -> str:
    raise Refused("the service does not answer.")


def waiting() -> str:
    raise Undecided("the canary has not ended.")


def test_a_version_that_does_not_serve_is_taken_back_and_drift_and_a_changed_commit_are_seen(
    dev: Standing, tmp_path: Path, pulumi: Path
) -> None:
    now, root = datetime.now(UTC), tmp_path / "cloud"
    dev.copy(root, pulumi)
    first = Embedded("dev", pulumi, root, FIRST, config_of("dev"), checkpoints=False)
    apply(first, plan(first, "c1", now, tmp_path / "first"), "c1", now, lambda: "it answers")
    assert standing_image(state_of(first)) == FIRST

    second = first.with_image(SECOND)
    bound = plan(second, "c2", now, tmp_path / "second")
    with pytest.raises(Refused, match="the commit has changed"):
        apply(second, bound, "c3", now, failing)
    assert standing_image(state_of(second)) == FIRST
    with pytest.raises(Refused, match=f"The service is back on {FIRST}"):
        apply(second, bound, "c2", now, failing)
    assert standing_image(state_of(second)) == FIRST

    with pytest.raises(Undecided):
        apply(second, plan(second, "c2", now, tmp_path / "third"), "c2", now, waiting)
    assert standing_image(state_of(second)) == SECOND

    assert look(second) == Look("dev")
    store = Store(root / "dev" / "cloud.sqlite")
    store.drift(store.all("aws:rds/instance:Instance")[0], "backupRetentionPeriod", 1)
    assert [change.name for change in look(second).drifted] == ["database"]
