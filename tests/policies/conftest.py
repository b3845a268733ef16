"""Says after a run how many of the mutations were caught."""

from __future__ import annotations

from typing import Any

import pytest


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports: list[pytest.TestReport] = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    counts: list[Any] = [value for report in reports for key, value in report.user_properties if key == "mutations"]
    if counts:
        caught, made = (sum(column) for column in zip(*counts, strict=True))
        terminalreporter.write_line(f"mutations caught by their check: {caught} of {made} ({caught / made:.0%})")
