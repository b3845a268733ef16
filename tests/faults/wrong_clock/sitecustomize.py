"""On PYTHONPATH this shifts the wall clock of a whole Python process by CLOCK_SHIFT_SECONDS; the monotonic clock stays.

It moves time.time, time.time_ns and datetime's now, today and utcnow, which is where the service, its libraries and
LangGraph's checkpoint ids take their time from. C code that asks the system by itself is not moved.
"""

from __future__ import annotations

import datetime  # noqa: ICN001  it is replaced in this module
import os
import time

SHIFT = float(os.environ["CLOCK_SHIFT_SECONDS"])

real_time, real_time_ns, real_datetime = time.time, time.time_ns, datetime.datetime


def shifted_time() -> float:
    return real_time() + SHIFT


def shifted_time_ns() -> int:
    return real_time_ns() + int(SHIFT * 1e9)


class AnyDatetime(type):
    """What C code makes are plain datetimes: they have to pass as ours."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, real_datetime)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, real_datetime)


class ShiftedDatetime(real_datetime, metaclass=AnyDatetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # pyright: ignore[reportIncompatibleMethodOverride]  typeshed says Self
        return real_datetime.now(tz) + datetime.timedelta(seconds=SHIFT)

    @classmethod
    def today(cls) -> datetime.datetime:  # pyright: ignore[reportIncompatibleMethodOverride]  as above
        return cls.now()

    @classmethod
    def utcnow(cls) -> datetime.datetime:  # pyright: ignore[reportIncompatibleMethodOverride]  as above
        return cls.now(datetime.UTC).replace(tzinfo=None)


time.time, time.time_ns, datetime.datetime = shifted_time, shifted_time_ns, ShiftedDatetime  # pyright: ignore[reportAttributeAccessIssue]  its whole purpose
