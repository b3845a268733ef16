"""How strict an environment is: the level and the parameters of each check, from policies/config/<environment>.json."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

from policies.check import Check, Level, Parameter
from stacks.terminal import Exit, Refused

FOLDER = Path(__file__).resolve().parent / "config"
NOT_EVALUATED = "not-evaluated"  # the policy that reports what could not be evaluated, configured as the checks are
LEVEL = "enforcementLevel"  # the key of Pulumi's own configuration files, so that one file serves the engine too


@dataclass(frozen=True)
class Choice:
    """What an environment chose for a check."""

    level: Level
    parameters: Mapping[str, Parameter]
    must_know: bool = False  # "not evaluated" then counts as a failure


def read(environment: str, checks: Iterable[Check]) -> dict[str, Choice]:
    """The choices of policies/config/<environment>.json. Raises Refused for a mistake in it."""
    file = FOLDER / f"{environment}.json"
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        raise Refused(
            f"{file.name}: there is no such file in policies/config. Copy dev.json.", Exit.BAD_INPUT
        ) from None
    except ValueError as failure:
        raise Refused(f"{file.name}: is no JSON ({failure}). Correct it.", Exit.BAD_INPUT) from None
    return choices(content, list(checks), file.name)


def choices(content: Any, checks: list[Check], source: str) -> dict[str, Choice]:
    """Levels by check id; `all` is that of the checks that are not named. Raises Refused for a mistake."""
    if not isinstance(content, dict):
        raise Refused(f"{source}: must be an object of check ids. See docs/reference/policies.md.", Exit.BAD_INPUT)
    given = cast("dict[str, Any]", content)
    known = {check.id: check for check in checks}
    for name in given:
        if name not in ("all", NOT_EVALUATED) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else "Remove it."
            raise Refused(f"{source}: {name}: there is no such check. {hint}", Exit.BAD_INPUT)
    usual = _level(given.get("all", "advisory"), f"{source}: all")
    must_know = _must_know(given.get(NOT_EVALUATED, {}), known, f"{source}: {NOT_EVALUATED}")
    found = {check.id: _choice(check, given.get(check.id, usual), usual, source) for check in checks}
    return {check: replace(choice, must_know=check in must_know) for check, choice in found.items()}


def _must_know(given: Any, known: Mapping[str, Check], place: str) -> list[str]:
    """The checks whose "not evaluated" fails; none unless the level is mandatory."""
    chosen = cast("dict[str, Any]", given) if isinstance(given, dict) else {LEVEL: given}
    level = _level(chosen.get(LEVEL, "advisory"), place)
    listed = chosen.get("checks", [])
    if set(chosen) - {LEVEL, "checks"} or not isinstance(listed, list):
        raise Refused(f"{place}: must be an object of {LEVEL} and checks, a list. Write it so.", Exit.BAD_INPUT)
    names = [str(name) for name in cast("list[object]", listed)]
    for name in names:
        if name not in known:
            raise Refused(f"{place}.checks: {name}: there is no such check. Remove it.", Exit.BAD_INPUT)
    return names if level == "mandatory" else []


def _choice(check: Check, given: Any, usual: Level, source: str) -> Choice:
    place = f"{source}: {check.id}"
    if isinstance(given, str):
        return Choice(_level(given, place), check.parameters)
    if not isinstance(given, dict):
        raise Refused(f"{place}: must be a level or an object with {LEVEL}. Write one of those.", Exit.BAD_INPUT)
    chosen = dict(cast("dict[str, Any]", given))
    level = _level(chosen.pop(LEVEL, usual), place)
    for name, value in chosen.items():
        _refuse_wrong(check.parameters, name, value, place)
    return Choice(level, {**check.parameters, **chosen})


def _level(value: Any, place: str) -> Level:
    levels = get_args(Level)
    if value not in levels:
        raise Refused(f"{place}={value!r}: is no level. Choose one of {', '.join(levels)}.", Exit.BAD_INPUT)
    return cast("Level", value)


def _refuse_wrong(parameters: Mapping[str, Parameter], name: str, value: Any, place: str) -> None:
    if name not in parameters:
        known = ", ".join(parameters) or "none"
        raise Refused(f"{place}.{name}: the check has no such parameter. Its parameters: {known}.", Exit.BAD_INPUT)
    wanted = parameters[name]
    kinds: tuple[type, ...] = (
        (int, float) if isinstance(wanted, (int, float)) and not isinstance(wanted, bool) else (type(wanted),)
    )
    if not isinstance(value, kinds) or (isinstance(value, bool) and not isinstance(wanted, bool)):
        raise Refused(
            f"{place}.{name}={value!r}: must be of the kind of {wanted!r}. Write such a value.", Exit.BAD_INPUT
        )
