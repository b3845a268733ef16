"""The base of our components: a type token from the class's place, and options for its children."""

from __future__ import annotations

from typing import Any

import pulumi


class Component(pulumi.ComponentResource):
    """A group of resources under one parent; its type is ``langgraph-eks:<layer>:<Class>``."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        layer = type(self).__module__.split(".")[1]
        super().__init__(f"langgraph-eks:{layer}:{type(self).__name__}", name, None, opts)

    def child(self, **options: Any) -> pulumi.ResourceOptions:
        """Resource options with this component as the parent."""
        return pulumi.ResourceOptions(parent=self, **options)
