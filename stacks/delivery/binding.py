"""A plan bound to what was reviewed: commit, configuration, state and every operation; refused when any has changed.

The CLI's own ``--save-plan`` binds operations but not the state they start from (mattrobinsonsre/terrapod#1524).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from stacks.review.changes import Change
from stacks.terminal import Exit, Refused

AGE = timedelta(hours=24)
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the engine's mark (pulumi sdk/go/common/resource/sig)
# What differs between two exports of the same state, or says nothing of a resource.
_PASSING = {"created", "modified", "ciphertext", "plaintext", "sourcePosition", "stackTrace"}


@dataclass(frozen=True)
class Bound:
    """What was reviewed. ``digest`` is over all the rest."""

    stack: str
    commit: str
    config: str
    state: str
    steps: str
    made: str  # ISO 8601, UTC
    digest: str = ""

    @property
    def expected_digest(self) -> str:
        return _digest({key: value for key, value in asdict(self).items() if key != "digest"})


def bind(
    stack: str,
    commit: str,
    config: Mapping[str, str],
    state: Mapping[str, Any],
    changes: Iterable[Change],
    made: datetime,
) -> Bound:
    """The plan of a preview. Raises Refused for a state with operations that nobody saw the end of."""
    if pending := state["deployment"].get("pending_operations"):
        raise Refused(
            f"{stack}: {len(pending)} operations of an earlier run are pending. Settle them: pulumi refresh.",
            Exit.STATE,
        )
    found = Bound(
        stack, commit, _digest(dict(config)), _digest(normalised(state)), _digest(steps(changes)), made.isoformat()
    )
    return Bound(**{**asdict(found), "digest": found.expected_digest})


def verify(reviewed: Bound, now: Bound, at: datetime, digest: str | None = None) -> None:
    """Raises Refused with every reason for which ``now``, made of what is there, is not what was reviewed."""
    reasons: list[str] = []
    if reviewed.digest != reviewed.expected_digest or (digest and digest != reviewed.digest):
        reasons.append("the plan is not the one that was reviewed (tampered with, or another one)")
    age = at - datetime.fromisoformat(reviewed.made)
    if not timedelta() <= age <= AGE:
        reasons.append(f"the plan is of {reviewed.made}: not within the last {AGE.total_seconds() / 3600:.0f} hours")
    parts = {
        "stack": "it is of another stack",
        "commit": "the commit has changed",
        "config": "the configuration has changed",
        "state": "the state has changed: somebody or something ran in between",
        "steps": "the preview has changed: it would do something else now",
    }
    reasons += [text for part, text in parts.items() if getattr(reviewed, part) != getattr(now, part)]
    if reasons:
        raise Refused(f"{now.stack}: {'; '.join(reasons)}. Review a new preview.", Exit.STATE)


def normalised(state: Mapping[str, Any]) -> list[Any]:
    """The resources of an export by URN, without times and ciphertext: two exports of one state are equal."""
    rows = cast("list[dict[str, Any]]", state["deployment"].get("resources") or [])
    return sorted((_plain(row) for row in rows), key=lambda row: (row["urn"], row.get("id", "")))


def steps(changes: Iterable[Change]) -> list[list[Any]]:
    """What is done to what and by which properties, in the order of the URNs: the engine's own order varies."""
    return sorted(
        [change.urn, change.operation, sorted(row.path for row in change.properties)]
        for change in changes
        if change.operation != "same"
    )


def read(text: str) -> Bound:
    """A plan as ``json.dumps(asdict(bound))`` wrote it. Raises Refused for anything else."""
    try:
        return Bound(**json.loads(text))
    except (ValueError, TypeError) as failure:
        raise Refused(
            f"the plan cannot be read ({type(failure).__name__}). Review a new preview.", Exit.STATE
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        rows = cast("dict[str, Any]", value)
        if _SECRET in rows.values():
            return "[secret]"  # each export encrypts anew
        return {key: _plain(item) for key, item in rows.items() if key not in _PASSING}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
