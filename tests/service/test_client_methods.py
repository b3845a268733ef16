"""What works of the SDK, by introspection of the installed one: a new version with new methods fails here."""

from __future__ import annotations

import pytest

from tests.service.client_methods.proofs import ROWS
from tests.service.client_methods.registry import Row
from tests.service.sdk import Sdk

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("row", [pytest.param(row, id=row.method) for row in ROWS.values()])
async def test_the_method_does_what_the_page_says(sdk: Sdk, row: Row) -> None:
    await row.proof(sdk)
