"""A change of settings, as dotted keys: put into a stack's configuration, captured again, and written to paste."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import yaml

from infra.settings import PROJECT, Settings
from stacks.configuration import settings_of, with_checkout_image
from stacks.cost.plan import Base
from stacks.graph import Graph

Changes = Mapping[str, Any]  # such as {"network.natGateways": "one"}


@dataclass(frozen=True)
class Variant:
    """An environment with a change: its validated settings, and its whole graph."""

    settings: Settings
    graph: Graph


def variant(base: Base, changes: Changes) -> Variant:
    """Validated and captured as the environment itself is. Raises Refused where validation refuses it."""
    from stacks.capture import capture

    config, _ = with_checkout_image(changed(base.config, changes))
    settings = settings_of(config, f"Pulumi.{base.stack}.yaml with {', '.join(changes) or 'no change'}")
    return Variant(settings, capture(settings, base.stack))


def changed(config: Mapping[str, str], changes: Changes) -> dict[str, str]:
    """A flat configuration with other values."""
    found = dict(config)
    for path, value in changes.items():
        section, *inner, last = path.split(".")
        document: dict[str, Any] = json.loads(found.get(f"{PROJECT}:{section}", "{}"))
        target = document
        for part in inner:
            target = target.setdefault(part, {})
        target[last] = value
        found[f"{PROJECT}:{section}"] = json.dumps(document)
    return found


def sections(config: Mapping[str, str], changes: Changes) -> dict[str, Any]:
    """The sections of Pulumi.<stack>.yaml that change, whole."""
    after = changed(config, changes)
    return {key: json.loads(after[key]) for key in sorted({f"{PROJECT}:{path.split('.')[0]}" for path in changes})}


def before_and_after(config: Mapping[str, str], changes: Changes) -> list[str]:
    """Each key as it was and as it is to be."""
    return [f"{path}: {_told(_at(config, path))} → {_told(value)}" for path, value in changes.items()]


def pasted(stack: str, found: Mapping[str, Any], what: str) -> str:
    """Sections ready to take the place of the file's."""
    text = yaml.safe_dump({"config": dict(found)}, sort_keys=False, default_flow_style=None, width=200)
    return f"# {what}: in place of these sections of Pulumi.{stack}.yaml\n{text}"


def _at(config: Mapping[str, str], path: str) -> Any:
    section, *rest = path.split(".")
    value: Any = json.loads(config.get(f"{PROJECT}:{section}", "{}"))
    for part in rest:
        value = cast("dict[str, Any]", value).get(part) if isinstance(value, dict) else None
    return value


def _told(value: Any) -> str:
    if value is None:
        return "(default)"
    return ", ".join(cast("list[str]", value)) or "none" if isinstance(value, list) else str(value)
