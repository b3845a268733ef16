"""IAM policy documents: their statements, and what stands in them as one or as a list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from policies.properties import Properties


def allowed(properties: Properties, key: str) -> Iterator[Properties]:
    """The Allow statements of the document in a property."""
    for statement in properties.document(key).parts("Statement"):
        if statement.text("Effect") == "Allow":
            yield statement


def listed(value: Any) -> list[str]:
    """Action, Resource and Principal may be one text or a list."""
    if isinstance(value, str):
        return [value]
    return [str(item) for item in cast("list[Any]", value)] if isinstance(value, list) else []


def actions(statement: Properties) -> list[str]:
    return listed(statement.content.get("Action"))


def resources(statement: Properties) -> list[str]:
    return listed(statement.content.get("Resource"))
