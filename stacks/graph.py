"""The resource graph as plain frozen data: what policies, cost, review and tests read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final


class Unknown:
    """A value that only the cloud will know. There is one instance, UNKNOWN."""

    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    """A secret value; it shows itself as such and never in clear."""

    value: Any

    def __repr__(self) -> str:
        return "[secret]"


@dataclass(frozen=True)
class Options:
    """The resource options that decide a resource's lifecycle."""

    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool = False
    deleted_with: str = ""
    ignore_changes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    delete_timeout: str = ""
    provider: str = ""  # URN of the explicit provider; empty where none was given


@dataclass(frozen=True)
class Resource:
    """One registration, whole. ``inputs`` are in the provider's camelCase, with UNKNOWN and Secret inside."""

    urn: str
    type: str
    name: str
    custom: bool
    parent: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    id: str
    dependencies: tuple[str, ...]
    property_dependencies: Mapping[str, tuple[str, ...]]
    options: Options

    @property
    def package(self) -> str:
        """aws, kubernetes, random, pulumi, or langgraph-eks for our components."""
        return self.type.split(":", 1)[0]

    @property
    def kind(self) -> str:
        """The last part of the type: ``Vpc`` of ``aws:ec2/vpc:Vpc``."""
        return self.type.rsplit(":", 1)[-1]


@dataclass(frozen=True)
class Graph:
    """A stack's resources in order of registration, and its exports."""

    stack: str
    preview: bool
    resources: tuple[Resource, ...]
    exports: Mapping[str, Any]

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources)

    def of_type(self, type_: str) -> list[Resource]:
        """All resources of a type, for example ``aws:ec2/subnet:Subnet``."""
        return [resource for resource in self.resources if resource.type == type_]

    def one(self, type_: str, name: str | None = None) -> Resource:
        """The only resource of a type (and logical name). Raises LookupError for none or several."""
        found = [resource for resource in self.of_type(type_) if name in (None, resource.name)]
        if len(found) != 1:
            raise LookupError(f"{len(found)} resources of type {type_} named {name or 'anything'}")
        return found[0]

    def by_urn(self, urn: str) -> Resource:
        """The resource of a URN. Raises LookupError."""
        for resource in self.resources:
            if resource.urn == urn:
                return resource
        raise LookupError(urn)

    def counts(self) -> Counter[str]:
        """Number of real resources by type; components and providers are left out."""
        return Counter(r.type for r in self.resources if r.custom and r.package != "pulumi")
