"""Random faults for a quarter of a minute; `make soak` does it for hours."""

from __future__ import annotations

import pytest

from tests.faults.cluster import open_stage
from tests.faults.load import held
from tests.faults.postgres import OwnPostgres
from tests.faults.schedule import Schedule

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("seed", [20260])
async def test_whatever_happens_every_promise_holds_at_the_end(
    calm: OwnPostgres, fragile: OwnPostgres, seed: int
) -> None:
    async with open_stage(fragile.new_database(), calm.new_effects()) as stage:
        schedule = Schedule(stage, fragile, seed)
        held(await schedule.run(seconds=15, least=4))
