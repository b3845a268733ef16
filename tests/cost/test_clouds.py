"""Other clouds: only what has a dated source, and no sum while a part lacks one."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from stacks.cost.clouds import CLOUDS, TABLE, Compared, Rate, Rates, compared, read, total
from stacks.cost.command import main
from stacks.cost.estimate import Estimate, estimate
from stacks.terminal import Refused
from tests.cost.test_plan import base
from tests.environments import graph_of


def found() -> Estimate:
    return estimate(graph_of("prod"), base("prod").usage, base("prod").prices)


def rows(rates: Rates) -> list[Compared]:
    return compared(base("prod").settings, found(), rates)


def test_each_line_of_aws_is_in_exactly_one_part() -> None:
    summed = sum((row.aws for row in rows(read())), Decimal(0))
    assert abs(summed - found().total.expected) < Decimal("1e-18")  # summed in another order


def test_a_part_without_a_dated_price_is_named_and_there_is_no_sum() -> None:
    parts = {row.part.name: row for row in rows(read())}
    assert parts["control plane"].others == {"azure": Decimal(73), "gcp": Decimal(73)}
    # db.r7g.xlarge: 4 vCPUs and 32 GiB, twice for the standby.
    assert parts["database"].others["gcp"] == 2 * 730 * (4 * Decimal("0.0413") + 32 * Decimal("0.007"))
    assert parts["database"].missing["azure"] == ("PostgreSQL vCPU", "PostgreSQL memory")
    assert parts["system nodes"].missing["gcp"] == ("machine of 2 vCPUs and 8 GiB on demand",)
    assert [total(list(parts.values()), cloud) for cloud in CLOUDS] == [None, None]


def test_with_every_price_there_is_a_sum() -> None:
    dollar = Rate(Decimal(1), "Hrs", "everywhere", date(2026, 11, 21), "made up", "https://example.com")
    missing = {
        (cloud, meter): dollar for row in rows(read()) for cloud, meters in row.missing.items() for meter in meters
    }
    whole = rows({**read(), **missing})
    assert total(whole, "gcp") == sum((row.others["gcp"] or Decimal(0) for row in whole), Decimal(0))
    last = missing.popitem()[0]
    assert total(rows({**read(), **missing}), last[0]) is None


def test_the_command_names_source_and_day_of_each_price(capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", "--stack", "dev", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["total"]["azure"] is None
    assert all(row["address"].startswith("https://") and row["asOf"] for row in told["sources"])


@pytest.mark.parametrize(
    ("old", "new"), [("0.0413", "free"), ("2026-05-01", "lately"), ("https://www.usage", "www.usage"), ("0.007", "-1")]
)
def test_a_row_without_price_day_or_address_is_refused(old: str, new: str, tmp_path: Path) -> None:
    file = tmp_path / "clouds.csv"
    file.write_text(TABLE.read_text().replace(old, new))
    with pytest.raises(Refused, match="a row is no dated price"):
        read(file)
