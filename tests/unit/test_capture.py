"""A capture depends on its program alone, whatever became of the one before it in the same process."""

from __future__ import annotations

import pulumi
import pytest

from stacks.capture import capture_program
from stacks.graph import Resource


def nothing(_: Resource) -> tuple[str, dict[str, object]]:
    return "", {}


def raising() -> None:
    pulumi.Output.from_input("never waited for")
    raise LookupError("in the middle")


def exporting() -> None:
    pulumi.export("found", pulumi.Output.from_input("it"))


def test_a_program_that_raises_leaves_nothing_to_the_next() -> None:
    with pytest.raises(LookupError, match="in the middle"):
        capture_program(raising, "dev", nothing, preview=True)
    assert capture_program(exporting, "dev", nothing, preview=True).exports == {"found": "it"}
