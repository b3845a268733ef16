"""AWS's Price List: what it says of a meter. Exactly one SKU must fit, as in Karpenter's price provider; else nothing does.

The form of an answer: docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, cast

from stacks.cost.prices import UNLIMITED, Meter, Price, Prices, key, parse, written
from stacks.cost.regions import HOME, usage_types
from stacks.terminal import Exit, Refused

if TYPE_CHECKING:
    from mypy_boto3_pricing.client import PricingClient
    from mypy_boto3_pricing.type_defs import FilterTypeDef

SOURCE = "AWS Price List"
PER_TYPE = ("BoxUsage", "InstanceUsage", "Multi-AZUsage", "NodeUsage")  # usage types that end in an instance type
Product = Mapping[str, Any]


class Unlisted(Exception):
    """Why the Price List gives no price of a meter."""


@dataclass(frozen=True)
class Wanted:
    """A meter to ask for in a region, and its rows of today; none where the region has no price of it yet."""

    region: str
    meter: Meter
    unit: str
    spellings: tuple[str, ...]  # of the usage type
    rows: tuple[Price, ...]


def wanted(prices: Prices, region: str, types: Sequence[str] = ()) -> list[Wanted]:
    """What a region has a price of, what else the home region has one of, and the meters of further instance types."""
    own = prices.meters(region)
    found = [Wanted(region, rows[0].meter, rows[0].unit, (rows[0].usage_type,), rows) for rows in own.values()]
    models = {key(HOME, rows[0].meter): rows[0] for rows in prices.meters(HOME).values()}
    for row in list(models.values()):
        head, _, kind = row.usage_type.partition(":")
        for name in types if head in PER_TYPE else ():
            if _family(name) == _family(kind):
                further = replace(row, usage_type=f"{head}:{name}")
                models.setdefault(key(HOME, further.meter), further)
    for (_, meter), row in models.items():
        if (region, meter) not in own:
            spellings = usage_types(region, row.usage_type) if region != HOME else (row.usage_type,)
            found.append(Wanted(region, row.meter, row.unit, spellings, ()))
    return found


def _family(instance_type: str) -> str:
    """db of a database's, cache of a cache's, nothing of a node's."""
    return instance_type.partition(".")[0] if instance_type.startswith(("db.", "cache.")) else ""


def ask(client: PricingClient, meter: Wanted) -> list[Product]:
    """Every product that AWS lists for a meter, all pages of them."""
    pages = client.get_paginator("get_products")
    return [
        product
        for spelling in meter.spellings
        for page in pages.paginate(
            ServiceCode=meter.meter.service, FormatVersion="aws_v1", Filters=_filters(meter, spelling)
        )
        for product in products(page["PriceList"])
    ]


def products(answer: Iterable[str | Product]) -> list[Product]:
    """The products of an answer, each of which AWS sends as a JSON text."""
    try:
        found = [json.loads(item) if isinstance(item, str) else item for item in answer]
    except ValueError as failure:
        raise Refused(f"{SOURCE}: answers no JSON ({failure}). Ask it again.", Exit.FAILED) from None
    return cast("list[Product]", found)


def rows_of(found: Iterable[Product], meter: Wanted, today: date) -> tuple[Price, ...]:
    """The tiers of the only product that fits a meter. Raises Unlisted where none or several do, or it is malformed."""
    try:
        fitting = [product for product in found if _fits(product, meter)]
        if len(fitting) != 1:
            skus = ", ".join(sorted(product["product"]["sku"] for product in fitting))
            raise Unlisted(f"{len(fitting)} SKUs fit{f' ({skus})' if skus else ''}, not one")
        rows = _tiers(fitting[0], meter, today)
        return tuple(parse(written(_with_free_tier(rows, meter.rows)), SOURCE))
    except (AttributeError, InvalidOperation, KeyError, TypeError, ValueError) as failure:
        raise Unlisted(f"the answer is malformed ({type(failure).__name__}: {failure})") from None
    except Refused as refusal:
        raise Unlisted(str(refusal)) from None


def _wanted_facts(meter: Wanted) -> dict[str, str]:
    """What a product must say, its usage type apart: the region, and the attributes that leave one SKU."""
    region = "fromRegionCode" if meter.meter.service == "AWSDataTransfer" else "regionCode"
    attributes = dict(part.split("=", 1) for part in meter.meter.attributes.split(";") if part)
    return {region: meter.region, **attributes}


def _filters(meter: Wanted, spelling: str) -> list[FilterTypeDef]:
    facts = {"usagetype": spelling, **_wanted_facts(meter)}
    return [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in facts.items()]


def _fits(product: Product, meter: Wanted) -> bool:
    """Whatever was asked: an answer from a file has not been filtered."""
    inner = product["product"]
    says = {**inner["attributes"], "productFamily": inner.get("productFamily")}
    service = product.get("serviceCode", says.get("servicecode"))
    wants = _wanted_facts(meter)
    return (
        service == meter.meter.service
        and says.get("usagetype") in meter.spellings
        and all(says.get(name) == value for name, value in wants.items())
    )


def _tiers(product: Product, meter: Wanted, today: date) -> list[Price]:
    """The on-demand offer, tier by tier; reservations and Spot are no list prices of a meter."""
    [term] = product["terms"]["OnDemand"].values()
    return [
        Price(
            region=meter.region,
            service=meter.meter.service,
            usage_type=product["product"]["attributes"]["usagetype"],
            attributes=meter.meter.attributes,
            unit=_unit(row["unit"], meter),
            begins=Decimal(row["beginRange"]),
            ends=UNLIMITED if row["endRange"] == "Inf" else Decimal(row["endRange"]),
            usd=Decimal(row["pricePerUnit"]["USD"]).normalize(),
            effective=date.fromisoformat(term["effectiveDate"][:10]),
            read=today,
            confirmed=True,
            sku=product["product"]["sku"],
            source=SOURCE,
        )
        for row in term["priceDimensions"].values()
    ]


def _unit(listed: str, meter: Wanted) -> str:
    """The unit, which must be the one that our quantities are in."""
    if listed != meter.unit:
        raise Unlisted(f"its unit is {listed}, and ours {meter.unit}")
    return listed


def _with_free_tier(rows: list[Price], old: tuple[Price, ...]) -> list[Price]:
    """A first tier for nothing that the list leaves out stays: AWS grants the 100 GB of egress to an account as a whole."""
    rows = sorted(rows, key=lambda row: row.begins)
    if not any(row.usd for row in rows):
        raise Unlisted("it costs nothing there")
    if not old or old[0].usd or not rows[0].usd:
        return rows
    free = replace(old[0], sku=rows[0].sku, read=rows[0].read)
    return [free, replace(rows[0], begins=free.ends), *rows[1:]]
