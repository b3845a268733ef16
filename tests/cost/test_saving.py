"""The savings formula, the reference fleets, and when the target holds."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.cost.command import main
from stacks.cost.saving import markets, most_average, saving
from stacks.terminal import Exit, Refused, run_command
from tests.environments import settings_of

parts = st.decimals(min_value=0, max_value=1, places=3)


def number(text: str) -> Decimal:
    return Decimal(text)


@pytest.mark.parametrize(
    ("average", "spot_share", "discount", "month", "percent"),
    [
        ("1", "0.75", "0.58", 2494, "43.5"),
        ("0.45", "0", "0", 1987, "55.0"),
        ("0.45", "0.75", "0.58", 1123, "74.6"),
        ("0.6", "0.75", "0.55", 1556, "64.8"),
        ("0.45", "0.75", "0.35", 1465, "66.8"),
    ],
)
def test_fleets_of_the_reference_save_what_their_bills_say(
    average: str, spot_share: str, discount: str, month: int, percent: str
) -> None:
    """15 m7i.2xlarge at $0.4032 for 730 hours are $4,415 on demand; node by node: on demand, and Spot below it."""
    hours, price = 15 * 730 * number(average), number("0.4032")
    bill = hours * (1 - number(spot_share)) * price + hours * number(spot_share) * price * (1 - number(discount))
    found = saving(number(average), number(spot_share), number(discount))
    assert round(bill) == month
    assert found == 1 - bill / (15 * 730 * price)
    assert abs(found * 100 - number(percent)) <= number("0.05")


def test_nodes_that_never_scale_lower_the_saving() -> None:
    fleet, system = number("4415.04"), number("220.752")  # three m7i.large
    alone = saving(number("0.45"), number("0.75"), number("0.58"))
    both = saving(number("0.45"), number("0.75"), number("0.58"), system / fleet)
    assert round(both, 2) == number("0.71")
    assert abs((fleet + system) * both - fleet * alone) < number("1e-9")


@given(parts, parts, parts)
def test_the_target_holds_up_to_the_average_it_says_and_not_beyond(
    target: Decimal, spot_share: Decimal, discount: Decimal
) -> None:
    if spot_share * discount == 1:
        return  # nodes for nothing save everything
    limit = most_average(target, spot_share, discount)
    tiny = number("1e-9")
    assert saving(limit, spot_share, discount) >= target - tiny
    assert saving(limit + number("0.01"), spot_share, discount) < target or spot_share * discount > number("0.99")


def test_discounts_are_the_dated_sample_s_of_the_pool() -> None:
    prod = settings_of("prod")
    found, day, count = markets("us-east-1", prod.nodes.workers.instance_types)
    assert (day.isoformat(), count) == ("2025-06-28", 18)
    assert [row.discount for row in found] == [number("0"), number("0.46"), number("0.57"), number("0.62")]
    with pytest.raises(Refused, match="Give --discount"):
        markets("eu-north-1", prod.nodes.workers.instance_types)


def test_sixty_percent_holds_at_the_reference_load_and_fails_without_spot_or_scaling(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def holds(*arguments: str) -> list[bool]:
        assert run_command(main, ["saving", "--json", *arguments]) == Exit.OK
        return [row["holds"] for row in json.loads(capsys.readouterr().out)["markets"]]

    assert holds() == [False, True, True, True]  # all fall back; least, median, greatest discount
    assert holds("--average", "1") == [False] * 4
    assert holds("--average", "0.4") == [True] * 4
    assert holds("--average", "0.6", "--discount", "0.35") == [False, False]
    run_command(main, ["saving"])
    assert "holds to" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--average", "45"], ["--discount", "-0.1"], ["--target", "nan"]])
def test_a_part_outside_nothing_and_all_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=str(Exit.BAD_INPUT.value)):
        main(["saving", *arguments])
    assert f"{arguments[1]!r} is no part between 0 and 1" in capsys.readouterr().err


def test_nodes_for_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, ["saving", "--discount", "1", "--spot-share", "1"]) == Exit.BAD_INPUT
    assert "--discount=1: all nodes" in capsys.readouterr().err
