"""The shipped environments with some settings changed, as configuration and as a captured graph."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from infra.settings import PROJECT, Settings, load
from stacks.capture import capture
from stacks.configuration import read_stack, with_checkout_image
from stacks.graph import Graph, Resource

REMOVED = object()


def config_of(stack: str, changes: dict[str, Any] | None = None) -> dict[str, str]:
    """The flat configuration of a shipped stack; ``changes`` maps dotted paths to values (REMOVED deletes)."""
    config = read_stack(stack)
    for path, value in (changes or {}).items():
        section, *rest = path.split(".")
        key = f"{PROJECT}:{section}"
        if not rest:
            if value is REMOVED:
                config.pop(key, None)
            else:
                config[key] = value if isinstance(value, str) else json.dumps(value)
            continue
        document: Any = json.loads(config[key])
        target = document
        for part in rest[:-1]:
            target = target[int(part) if part.isdigit() else part]
        if value is REMOVED:
            del target[rest[-1]]
        else:
            target[int(rest[-1]) if rest[-1].isdigit() else rest[-1]] = value
        config[key] = json.dumps(document)
    return config


def settings_of(stack: str, changes: dict[str, Any] | None = None, *, image: bool = True) -> Settings:
    """Validated settings of a shipped stack; with a stand-in image unless told otherwise."""
    config = config_of(stack, changes)
    return load(with_checkout_image(config)[0] if image else config)


def graph_of(stack: str, changes: dict[str, Any] | None = None, *, image: bool = True, preview: bool = True) -> Graph:
    """The captured graph of a shipped stack."""
    return _captured(stack, json.dumps(changes or {}, sort_keys=True), image, preview)


def workload(graph: Graph, name: str) -> Resource:
    """What runs pods under a name: a Deployment, a Rollout or a Job, whose name may go on with a digest."""
    kinds = ("Deployment", "Rollout", "Job")
    [found] = [r for r in graph if r.kind in kinds and str(r.inputs["metadata"]["name"]).startswith(name)]
    return found


def pod_of(graph: Graph, name: str) -> dict[str, Any]:
    """The pod specification of a workload."""
    return workload(graph, name).inputs["spec"]["template"]["spec"]


@lru_cache(maxsize=64)
def _captured(stack: str, changes: str, image: bool, preview: bool) -> Graph:
    return capture(settings_of(stack, json.loads(changes), image=image), stack, preview=preview)
