"""How long something is on in an average month, by two schedules of a week: one that turns it on, one that turns it off."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import get_args

from infra.settings.model import Day
from stacks.cost.amounts import HOURS
from stacks.cost.facts import Billed

DAYS = tuple(day[:3].upper() for day in get_args(Day))
WEEK = len(DAYS) * 24 * 60  # minutes
# As infra/off_hours.py has them written, by Kubernetes and by EventBridge; others say nothing here.
_WEEKLY = re.compile(r"(?:cron\()?(\d+) (\d+) [*?] \* ([A-Z,]+)(?: \*\))?")


def hours_of(resources: Sequence[Billed], type_: str, name: str) -> Decimal:
    """Hours of a month between the schedules ``<name>-on`` and ``<name>-off``; all of them where these are not there."""
    schedules = {item.name: str(item.facts.get("schedule")) for item in resources if item.type == type_}
    starts, ends = (_minutes(schedules.get(f"{name}-{word}", "")) for word in ("on", "off"))
    if not starts or not ends:
        return HOURS
    return HOURS * sum(min((end - start) % WEEK or WEEK for end in ends) for start in starts) / WEEK


def _minutes(schedule: str) -> list[int]:
    """When it is due, in minutes from the week's start."""
    found = _WEEKLY.fullmatch(schedule)
    if not found or not set(found[3].split(",")) <= set(DAYS):
        return []
    return [(DAYS.index(day) * 24 + int(found[2])) * 60 + int(found[1]) for day in found[3].split(",")]
