"""The steps of a delivery over any target: plan what is reviewed, apply only that, and go back when it does not serve."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from policies.command import assess
from policies.pack import NOT_EVALUATED
from stacks.capture import capture
from stacks.configuration import settings_of
from stacks.delivery.binding import Bound, bind, verify
from stacks.delivery.canary import Undecided
from stacks.delivery.target import Target, preview, standing_image, state_of
from stacks.terminal import Exit, Refused, console

Say = Callable[[str], None]


def plan(target: Target, commit: str, made: datetime, folder: Path) -> Bound:
    """Preview with policies; leaves the events and the bound plan in a folder. Raises Refused for what blocks."""
    state = state_of(target)
    _require_policies(target)
    # The engine knows little in a first preview, and takes what is unknown for a violation.
    stands = bool(state["deployment"].get("resources"))
    found, events = preview(target, policies=stands)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    blocking = [row for row in found.violations if row.level == "mandatory" and row.policy != NOT_EVALUATED]
    if blocking or (stands and not found.policies_ran):
        reason = f"{blocking[0].policy}: {blocking[0].message}" if blocking else "the policy pack did not run"
        raise Refused(f"{target.stack}: {len(blocking)} mandatory policy violations; {reason}", Exit.FAILED)
    bound = bind(target.stack, commit, target.config(), state, found.changes, made)
    (folder / "plan.json").write_text(json.dumps(asdict(bound), indent=2) + "\n")
    return bound


def _require_policies(target: Target) -> None:
    settings = settings_of(target.config(), f"Pulumi.{target.stack}.yaml")
    found = assess(capture(settings, target.stack), target.stack, datetime.now(UTC).date())
    if found.blocks:
        names = sorted({verdict.check.id for verdict in found.verdicts if verdict.blocks})
        raise Refused(f"{target.stack}: mandatory policies fail: {', '.join(names)}. See make policy.", Exit.FAILED)


def apply(
    target: Target, reviewed: Bound, commit: str, at: datetime, check: Callable[[], str], digest: str | None = None
) -> None:
    """Apply what was reviewed, then ask the service. Raises Refused when it is refused, or was taken back,
    and Undecided when people have to say whether it is good."""
    state = state_of(target)
    found, _ = preview(target, policies=False)  # they have passed on the same operations, or these differ
    verify(reviewed, bind(target.stack, commit, target.config(), state, found.changes, at), at, digest)
    before = standing_image(state)
    done = target.run(["up", "--yes", "--skip-preview"])
    if done.code:
        raise Refused(f"{target.stack}: the update did not succeed:\n{done.stdout[-2000:]}{done.stderr}", Exit.FAILED)
    try:
        console.print(f"{target.stack}: {check()}", markup=False)
    except Undecided:
        raise
    except Refused as refusal:
        raise Refused(f"{refusal} {_rolled_back(target, before)}", Exit.FAILED) from None


def _rolled_back(target: Target, image: str | None) -> str:
    if image is None:
        return "There was no version before this one to go back to."
    done = target.with_image(image).run(["up", "--yes", "--skip-preview"])
    if done.code:
        return f"Going back to {image} did not succeed either:\n{done.stdout[-2000:]}{done.stderr}"
    return f"The service is back on {image}."
