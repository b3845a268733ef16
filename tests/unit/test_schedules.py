"""Schedules around every change of the clock, against the rules written out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.runtime.schedules import check_schedule, check_timezone, next_time

MINUTE = timedelta(minutes=1)
BEGIN, END = datetime(2010, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
ZONES = sorted(zone for zone in available_timezones() if "/" in zone)


@cache
def changes(zone: str) -> list[datetime]:
    """The last minute before each change of the zone's offset to UTC."""
    tz, found = ZoneInfo(zone), list[datetime]()
    day = BEGIN
    while day < END:
        low, high = day, day + timedelta(days=7)
        if low.astimezone(tz).utcoffset() != high.astimezone(tz).utcoffset():
            while high - low > MINUTE:
                middle = low + (high - low) // 2 // MINUTE * MINUTE
                same = middle.astimezone(tz).utcoffset() == low.astimezone(tz).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(low)
        day += timedelta(days=7)
    return found


def by_the_rules(
    minutes: set[int], hours: set[int], zone: str, since: datetime, until: datetime, *, fixed: bool
) -> list[datetime]:
    """Minute by minute: what cronsim does not look like, so that both can hardly be wrong alike."""
    tz = ZoneInfo(zone)
    found, shown = list[datetime](), since.astimezone(tz).replace(tzinfo=None)
    for step in range(1, (until - since) // MINUTE + 1):
        wall = (at := since + MINUTE * step).astimezone(tz).replace(tzinfo=None)
        if not fixed:
            shown = wall - MINUTE
        leapt = [shown + MINUTE * step for step in range(1, (wall - shown) // MINUTE + 1)]  # none while it is behind
        if any(time.minute in minutes and time.hour in hours for time in leapt):
            found.append(at)
        shown = max(shown, wall)
    return found


def times(schedule: str, zone: str, since: datetime, until: datetime) -> list[datetime]:
    found, at = list[datetime](), next_time(schedule, zone, since)
    while at and at <= until:
        found.append(at)
        at = next_time(schedule, zone, at)
    return found


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_around_every_change_of_the_clock_each_time_comes_once_and_none_is_missed(data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(ZONES).filter(changes), "zone")
    change = data.draw(st.sampled_from(changes(zone)), "change")
    minute = data.draw(st.integers(0, 59), "minute")
    near = change.astimezone(ZoneInfo(zone)).hour
    hours = {(near + step) % 24 for step in data.draw(st.sets(st.integers(-1, 3), min_size=1, max_size=3), "hours")}
    since, until = change - timedelta(hours=4), change + timedelta(hours=26)
    listed = ",".join(map(str, sorted(hours)))
    fixed = by_the_rules({minute}, hours, zone, since, until, fixed=True)
    assert times(f"{minute} {listed} * * *", zone, since, until) == fixed
    late = data.draw(st.datetimes(since.replace(tzinfo=None), change.replace(tzinfo=None) + timedelta(hours=3)), "late")
    # What fires late, as after all processes were killed, neither repeats a time nor leaves the next one out.
    upcoming = [at for at in fixed if at > late.replace(tzinfo=UTC)]
    assert not upcoming or next_time(f"{minute} {listed} * * *", zone, late.replace(tzinfo=UTC)) == upcoming[0]
    any_hour = by_the_rules({minute}, set(range(24)), zone, since, until, fixed=False)
    assert times(f"{minute} * * * *", zone, since, until) == any_hour
    any_minute = by_the_rules(set(range(0, 60, 15)), hours, zone, since, until, fixed=False)
    assert times(f"*/15 {listed} * * *", zone, since, until) == any_minute


def test_a_daily_time_that_the_clock_leaps_over_comes_with_the_first_minute_after() -> None:
    before = datetime(2026, 3, 28, 12, tzinfo=UTC)
    first = next_time("30 2 * * *", "Europe/Berlin", before)
    assert first
    assert first == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # 03:00 in Berlin
    assert next_time("30 2 * * *", "Europe/Berlin", first) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)


def test_a_daily_time_that_the_clock_shows_twice_comes_the_first_time_only() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in Berlin, an hour before it is again
    assert next_time("30 2 * * *", "Europe/Berlin", first - MINUTE) == first
    # Also when it was late, and caught up while the clock showed the hour again.
    for late in (first, first + MINUTE * 31, first + MINUTE * 59):
        assert next_time("30 2 * * *", "Europe/Berlin", late) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_an_hourly_time_comes_although_the_clock_changes_by_half_an_hour() -> None:
    changed = datetime(2016, 5, 1, 7, 0, tzinfo=UTC)  # in Caracas 02:30 became 03:00
    assert next_time("0 * * * *", "America/Caracas", changed - MINUTE) == changed
    last = datetime(2026, 4, 4, 14, 59, tzinfo=UTC)  # on Lord Howe 02:00 became 01:30
    assert next_time("*/15 2 * * *", "Australia/Lord_Howe", last) == datetime(2026, 4, 4, 15, 30, tzinfo=UTC)


def test_without_a_zone_times_are_in_utc() -> None:
    assert next_time("@daily", None, datetime(2026, 3, 29, 1, tzinfo=UTC)) == datetime(2026, 3, 30, tzinfo=UTC)


def test_a_schedule_that_never_comes_has_no_next_time() -> None:
    assert next_time("0 0 */20 * 1L", None, BEGIN) is None  # the last Monday of a month is never its 1st or 21st


@pytest.mark.parametrize(
    "schedule", ["", "* * * *", "*/5 * * * * *", "61 * * * *", "0 0 31 2 *", "@often", "a b c d e"]
)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match="five fields"):
        check_schedule(schedule)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../etc/passwd", "/etc/localtime", "UTC\0", "a" * 5000])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        check_timezone(zone)
