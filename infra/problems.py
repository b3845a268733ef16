"""What is wrong with a configuration, said so that a reader can mend it: field, value, rule, remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError


@dataclass(frozen=True)
class Problem:
    """One broken rule. ``field`` is the dotted path as written in Pulumi.<env>.yaml."""

    field: str
    value: object
    rule: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}={self.value}: {self.rule.rstrip('.')}. {self.remedy}"


class SettingsError(ValueError):
    """A configuration that is refused, with every problem found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(problems)
        super().__init__("\n".join(f"  {problem}" for problem in self.problems))


# What to do for pydantic's error types that a configuration can meet; the rest show the expected type.
_REMEDIES = {
    "missing": "Set it: Pulumi.dev.yaml shows an example.",
    "string_pattern_mismatch": "Write it in that form.",
    "literal_error": "Use one of these.",
    "string_type": "Write it in quotes.",  # 20:00 without them is 1200 to YAML
    "date_type": 'Write it as "2027-06-30".',
}


def from_validation(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Pydantic's findings as problems; an unknown key suggests the nearest known one."""
    return [_problem(dict(finding), model) for finding in error.errors(include_url=False)]


def _problem(finding: dict[str, Any], model: type[BaseModel]) -> Problem:
    path: tuple[str | int, ...] = finding["loc"]
    field = ".".join(str(part) for part in path)
    kind = finding["type"]
    if kind == "extra_forbidden":
        known = _keys(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        remedy = f"Did you mean {near[0]}?" if near else f"Known keys here: {', '.join(known)}."
        return Problem(field, finding["input"], "no such setting", remedy)
    value = "(absent)" if kind == "missing" else repr(finding["input"])
    rule = "required" if kind == "missing" else finding["msg"][0].lower() + finding["msg"][1:]
    return Problem(field, value, rule, _REMEDIES.get(kind, "Correct the value in the stack's configuration."))


def _keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The keys a model accepts at a path of aliases."""
    current: type[BaseModel] = model
    for part in path:
        if isinstance(part, int):
            continue
        info = next(field for field in current.model_fields.values() if field.alias == part)
        for candidate in (info.annotation, *getattr(info.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                current = candidate
    return [str(field.alias) for field in current.model_fields.values()]
