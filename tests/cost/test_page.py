"""The plots of the HTML page: their numbers are those of the estimate, and nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

from stacks.cost.amounts import Range, dollars
from stacks.cost.charts import bars, curve
from stacks.cost.command import Answer
from stacks.cost.delta import Gate, difference
from stacks.cost.estimate import estimate
from stacks.cost.load import load_of, load_of_month
from stacks.cost.page import page_of
from stacks.cost.plan import growth
from tests.cost import golden
from tests.cost.test_plan import base


def test_the_curve_is_at_the_expected_amounts_in_a_band_from_low_to_high() -> None:
    points = [
        (Decimal(1), Range(Decimal(1), Decimal(2), Decimal(4))),
        (Decimal(2), Range(Decimal(2), Decimal(4), Decimal(8))),
    ]
    drawn = str(curve(points, "a month <by> users"))
    # x: 40 to 770 for 0 to 2; y: 230 for nothing, 20 for the most, which is 8
    assert 'polygon points="405.0,125.0 770.0,20.0 770.0,177.5 405.0,203.8"' in drawn
    assert 'polyline points="405.0,177.5 770.0,125.0"' in drawn
    assert re.findall(r"<text[^>]*>([^<]*)<", drawn) == ["$2", "1", "$4", "2"]
    assert "<title>a month &lt;by&gt; users</title>" in drawn


def test_bars_are_as_long_as_their_amounts_beside_what_they_were_before() -> None:
    drawn = str(bars([("a", Decimal(50), Decimal(100), "$100"), ("b", None, Decimal(25), "$25")], "both"))
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', drawn)]
    before_a, after_a, before_b, after_b = widths
    assert before_a * 2 == after_a == after_b * 4
    assert before_b == 0


def test_the_page_shows_before_and_after_by_service_by_resource_and_growth_without_anything_from_elsewhere() -> None:
    small, large = (estimate(*scenario, golden.prices()) for scenario in (golden.small_dev(), golden.small_prod()))
    growing = growth(base("prod"), load_of({"users": 1000}))
    delta = difference(small, large)
    page = page_of(Answer(large, delta, Gate(Decimal(2000)), [], [], growing))
    titles = re.findall(r"<title>([^<]*)</title>", page)
    assert titles == ["Cost of golden", "before and after", "By service", "By resource", "a month by users"]
    assert [row.load.users for row in growing] == [250, 500, 1000, 2000, 4000]
    for row in growing:
        assert f"${row.estimate.total.expected:,.0f}</text>" in page
        assert dollars(row.cost_per_user) in page
    for change in delta.changes[:20]:
        assert change.resource in page
    assert not re.search(r"<script|<link|<img|https?://(?!www\.w3\.org)", page)
    assert "As it grows" not in page_of(Answer(large, None, None, [], [], []))


def test_growth_ends_where_no_settings_hold_it_and_its_load_is_that_of_the_usage_file() -> None:
    prod = base("prod")
    assert [row.load.users for row in growth(prod, load_of({"users": 10_000}))] == [2500, 5000, 10_000, 20_000]
    assert prod.usage.runs_per_month
    assert abs(load_of_month(prod.usage.runs_per_month).users - 10_000) < 50  # "at the reference load"
    assert growth(replace(prod, prices=replace(prod.prices, rows=())), load_of({"users": 10})) == []
