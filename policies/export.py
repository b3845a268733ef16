"""A state export as a graph: what `pulumi stack export` says is there, with nothing unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from stacks.graph import Graph, Options, Resource, Secret
from stacks.terminal import Exit, Refused

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  how the engine marks a secret value (pulumi sdk/go/common/resource)


def graph_of_export(document: Any, source: str) -> Graph:
    """Raises Refused for what is no export."""
    try:
        rows = cast("list[Mapping[str, Any]]", document["deployment"]["resources"] or [])
        resources = tuple(_resource(row) for row in rows if row["type"] != "pulumi:pulumi:Stack")
        stack = rows[0]["urn"].split("::")[0].rpartition(":")[2] if rows else ""
    except (KeyError, TypeError, AttributeError, IndexError) as failure:
        raise Refused(
            f"{source}: is no state export ({type(failure).__name__}: {failure})."
            " Give what `pulumi stack export` printed.",
            Exit.BAD_INPUT,
        ) from None
    return Graph(stack, False, resources, {})


def _resource(row: Mapping[str, Any]) -> Resource:
    linked = cast("dict[str, list[str]]", row.get("propertyDependencies") or {})
    return Resource(
        urn=row["urn"],
        type=row["type"],
        name=row["urn"].split("::")[-1],
        custom=bool(row.get("custom")),
        parent=row.get("parent", ""),
        inputs=_plain(row.get("inputs") or {}),
        outputs=_plain(row.get("outputs") or {}),
        id=row.get("id", ""),
        dependencies=tuple(sorted(row.get("dependencies") or ())),
        property_dependencies={key: tuple(sorted(urns)) for key, urns in linked.items() if urns},
        options=Options(
            protect=bool(row.get("protect")),
            retain_on_delete=bool(row.get("retainOnDelete")),
            deleted_with=row.get("deletedWith", ""),
            provider=str(row.get("provider", "")).rpartition("::")[0],
        ),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        if found.get(SIGNATURE) == SECRET:
            return Secret(found.get("plaintext", ""))  # without its key an export holds the ciphertext alone
        return {key: _plain(item) for key, item in found.items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value
