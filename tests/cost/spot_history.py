"""A made-up Spot price history, in the form of AWS's answers. Its prices are nobody's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from stacks.cost.market import Market, read
from stacks.cost.plan import Base
from stacks.cost.rules.compute import on_demand
from stacks.cost.spot_pool import sold

ENDS = datetime(2026, 11, 20, tzinfo=UTC)
WINDOW = (ENDS - timedelta(days=60), ENDS)
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")


def document(base: Base, shares: Mapping[str, str] | None = None, days: int = 60) -> dict[str, Any]:
    """Each type at a part of its on-demand price, and for a tenth of the time a quarter dearer."""
    rows: list[dict[str, Any]] = []
    for name in sold(base):
        usd = (on_demand(base.settings.region, name, base.prices) or Decimal(0)) * Decimal(
            (shares or {}).get(name, "0.4")
        )
        rows += [_row(name, zone, ENDS - timedelta(days=age), usd * dearer)
                 for zone in ZONES
                 for age, dearer in ((days, Decimal(1)), (days // 2, Decimal("1.25")), (days // 2 - days // 10, Decimal(1)))]  # fmt: skip
    return {"SpotPriceHistory": rows}


def market(base: Base, shares: Mapping[str, str] | None = None, days: int = 60) -> Market:
    return read(json.dumps(document(base, shares, days)), "made up")


def _row(name: str, zone: str, at: datetime, usd: Decimal) -> dict[str, Any]:
    return {
        "InstanceType": name,
        "AvailabilityZone": zone,
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": f"{usd:.9f}",
        "Timestamp": at.isoformat(),
    }
