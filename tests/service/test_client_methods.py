"""What works of the SDK, by introspection of the installed one: a new version with new methods fails here."""

from __future__ import annotations

import pytest

from tests.service.client_methods.proofs import ROWS
from tests.service.client_methods.registry import COMMAND, PAGE, Row, page, sdk_methods
from tests.service.sdk import Sdk

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("row", [pytest.param(row, id=row.method) for row in ROWS.values()])
async def test_the_method_does_what_the_page_says(sdk: Sdk, row: Row) -> None:
    await row.proof(sdk)


def test_every_method_of_the_installed_sdk_is_proven() -> None:
    assert set(ROWS) == set(sdk_methods())


def test_the_page_is_the_one_that_the_proofs_make() -> None:
    assert PAGE.read_text() == page(ROWS), f"Run {COMMAND}."
