"""The ``billing`` output: what of each registered resource decides its price. Quantities, never prices."""

from __future__ import annotations

import re
from typing import Any

import pulumi
from pulumi.runtime import rpc

from stacks.cost.facts import AWS, READINGS, VERSION, Facts, facts_of, is_billed
from stacks.wire import decode

_UNDERSCORE = re.compile(r"_([a-z])")  # props have Python's names here, the graph has the provider's


class Record:
    """Listens to every registration of the program from now on."""

    def __init__(self) -> None:
        self._seen: list[pulumi.ResourceTransformationArgs] = []
        pulumi.runtime.register_stack_transformation(self._take)

    def _take(self, args: pulumi.ResourceTransformationArgs) -> None:
        self._seen.append(args)

    def output(self, environment: str) -> pulumi.Output[dict[str, Any]]:
        """The record of all resources registered so far."""
        rows = [self._row(args) for args in self._seen if is_billed(args.type_)]
        return pulumi.Output.from_input({"version": VERSION, "environment": environment, "resources": rows})

    def _row(self, args: pulumi.ResourceTransformationArgs) -> dict[str, Any]:
        regions: dict[pulumi.Resource | None, str] = {
            seen.resource: str(seen.props["region"]) for seen in self._seen if seen.type_ == AWS
        }
        provider = args.resource.get_provider(args.type_)
        return {
            "urn": args.resource.urn,
            "type": args.type_,
            "region": args.props.get("region") or regions.get(provider) or next(iter(regions.values()), ""),
            "facts": pulumi.Output.from_input(_facts(args)),
        }


async def _facts(args: pulumi.ResourceTransformationArgs) -> Facts:
    reading = READINGS.get(args.type_)
    if reading is None:
        return {}
    named = {_UNDERSCORE.sub(lambda found: found[1].upper(), key): value for key, value in args.props.items()}
    wanted = {key: value for key, value in named.items() if key in reading.inputs}
    return facts_of(args.type_, decode(await rpc.serialize_properties(wanted, {})))
