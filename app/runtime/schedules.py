"""When a schedule comes round: five fields as cron has them, in a time zone, by the rules of Debian's cron.

A schedule of fixed times (neither minute nor hour begins with *) comes once for each of its times by the clock on the
wall: one that a change of the clock leaps over comes with the first minute after it, one that the clock shows twice
comes the first time. Any other schedule comes at every minute, as it passes, whose time on the wall fits.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Schedule(CronSim):
    """Minute by minute: cronsim's steps of whole hours pass by what is due where clocks change by a part of one."""

    def advance_minute(self) -> bool:
        return self._advance(lambda: self.dt.minute in self.minutes, stop=lambda: self.dt.minute == 0)

    def advance_hour(self) -> bool:
        return self._advance(lambda: self.dt.hour in self.hours, stop=lambda: self.dt.hour == 0)

    def _advance(self, fits: Callable[[], bool], stop: Callable[[], bool]) -> bool:
        if fits():
            return False
        self.tick(60 - self.dt.second)
        while not fits() and not stop():
            self.tick(60)
        return True


def check_schedule(schedule: str) -> str:
    """Raises ValueError for what is no schedule."""
    fields = NAMED.get(schedule, schedule)
    if len(fields.split()) != 5:  # with six, some programs take the first for seconds and some the last
        raise ValueError("has to have five fields: minute, hour, day of month, month, day of week, as 0 9 * * MON-FRI")
    try:
        CronSim(fields, EPOCH)
    except CronSimError as failure:
        raise ValueError(f"cannot be read ({failure}). Write five fields, as 0 9 * * MON-FRI") from None
    return schedule


def check_timezone(name: str) -> str:
    """Raises ValueError for what is no zone of the IANA's database."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of one of its folders
        raise ValueError("is no time zone. Send a name of the IANA's, as Europe/Berlin") from None
    return name


def next_time(schedule: str, timezone: str | None, after: datetime) -> datetime | None:
    """The first time later than `after`, in UTC; None when none comes within fifty years."""
    local = after.astimezone(ZoneInfo(timezone) if timezone else UTC)
    for moment in _Schedule(NAMED.get(schedule, schedule), local):
        # From within the second of two equal hours, cronsim begins with times of the first.
        if (found := moment.astimezone(UTC)) > after:
            return found
    return None
