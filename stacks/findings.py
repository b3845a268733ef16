"""What a pre-flight check can answer: pass, warn, fail, or that it could not see."""

from __future__ import annotations

from dataclasses import dataclass

PASS, WARN, FAIL, UNSEEN = "pass", "warn", "fail", "could not check"


@dataclass(frozen=True)
class Finding:
    """One check's answer."""

    check: str
    status: str
    detail: str
