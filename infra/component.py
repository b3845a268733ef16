"""The base of our components: a type token from the class's place, and options for its children."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi


class Component(pulumi.ComponentResource):
    """A group of resources under one parent; its type is ``langgraph-eks:<layer>:<Class>``.

    What the component depends on, each child depends on, and what it is deleted with, each child is. Pulumi itself
    hands neither down, so an order between components would otherwise hold for neither creation nor destruction.
    """

    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        layer = type(self).__module__.split(".")[1]
        # ResourceOptions.merge always leaves a list here.
        self._needs: Sequence[Any] = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions()).depends_on or ()  # type: ignore[assignment] - typed as any input
        self._deleted_with = opts.deleted_with
        super().__init__(f"langgraph-eks:{layer}:{type(self).__name__}", name, None, opts)

    def child(self, depends_on: Sequence[pulumi.Resource] = (), **options: Any) -> pulumi.ResourceOptions:
        """Resource options with this component as the parent."""
        needs = [*self._needs, *depends_on]
        return pulumi.ResourceOptions(parent=self, depends_on=needs, deleted_with=self._deleted_with, **options)
