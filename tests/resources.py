"""Resources as a program might register them, for graphs that no program of ours makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stacks.graph import Options, Resource

NO_OPTIONS = Options()


def resource(
    type_: str,
    inputs: Mapping[str, Any],
    name: str = "made",
    /,
    stack: str = "prod",
    options: Options = NO_OPTIONS,
    **links: tuple[str, ...],
) -> Resource:
    """A resource at the top of a stack; ``links`` are properties that come from others, by their URNs."""
    return Resource(
        urn=f"urn:pulumi:{stack}::langgraph-eks::{type_}::{name}",
        type=type_,
        name=name,
        custom=True,
        parent="",
        inputs=inputs,
        outputs={},
        id="",
        dependencies=(),
        property_dependencies=links,
        options=options,
    )
