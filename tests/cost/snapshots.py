"""What the shipped stacks cost when somebody last said why it moved: ``python -m tests.cost.snapshots`` writes it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from stacks.cost.amounts import cents
from stacks.cost.estimate import Estimate, estimate
from stacks.cost.prices import load
from stacks.cost.usage import read
from tests.environments import graph_of

SNAPSHOTS = Path(__file__).with_name("snapshots.json")


def shown(stack: str) -> dict[str, Any]:
    """A shipped stack's total, its meters, and what has no price."""
    found = estimate(graph_of(stack), read(stack), load())
    total = {"low": found.total.low, "expected": found.total.expected, "high": found.total.high}
    return {
        "total": {name: str(cents(amount)) for name, amount in total.items()},
        "unpriced": sorted(f"{line.resource}: {line.usage_type}" for line in found.unpriced),
        "lines": {name: str(cents(amount)) for name, amount in sorted(by_usage_type(found).items())},
    }


def by_usage_type(found: Estimate) -> dict[str, Decimal]:
    """Expected cost of each meter, over all resources."""
    sums: dict[str, Decimal] = {}
    for line in found.lines:
        if line.cost:
            sums[line.usage_type] = sums.get(line.usage_type, Decimal(0)) + line.cost.expected
    return sums


if __name__ == "__main__":
    SNAPSHOTS.write_text(json.dumps({stack: shown(stack) for stack in ("dev", "prod")}, indent=2) + "\n")
