"""The whole program in process: no engine, no cloud, seconds. Records every registration with its options.

``python -m stacks.capture --stack prod`` prints the graph as a tree (``make preview STACK=prod``).
"""

from __future__ import annotations

import argparse
import asyncio
import contextvars
import gc
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import Stack, wait_for_rpcs

from infra.settings import PROJECT, Settings
from stacks.configuration import read_stack, settings_of, with_checkout_image
from stacks.graph import Graph, Options, Resource
from stacks.graph_text import to_text
from stacks.terminal import run_command
from stacks.wire import decode, encode, revealed

_STACK = "pulumi:pulumi:Stack"

Answer = Callable[[Resource], tuple[str, Mapping[str, Any]]]
"""The id and the outputs that a registration gets; an empty id is one that only the cloud will know."""


def capture(
    settings: Settings, stack: str | None = None, *, preview: bool = True, answer: Answer | None = None
) -> Graph:
    """The graph of an environment.

    In preview mode outputs that only the cloud can give are unknown, as in a first ``pulumi preview``; in update mode
    they are the embedded cloud's, deterministic for a URN; ``answer`` gives others. Raises whatever the program raises.
    """
    from stacks.platform import build

    answer = answer or (_unknown if preview else _created(settings.region))
    return capture_program(lambda: build(settings), stack or settings.environment, answer, preview=preview)


def capture_program(program: Callable[[], None], stack: str, answer: Answer, *, preview: bool) -> Graph:
    """The graph that any program registers. A context of its own keeps two captures apart.

    So does a thread, whose stack is short: the SDK walks all of it for every resource.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(contextvars.copy_context().run, _capture, program, stack, answer, preview).result()


def _capture(program: Callable[[], None], stack: str, answer: Answer, preview: bool) -> Graph:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(_AtOnce())
    # Walking pulumi_aws's classes again and again to find garbage takes 40 % of a capture.
    collecting = gc.isenabled()
    gc.disable()
    monitor = _Monitor(answer)
    # set_mocks keeps those of a program that raised, whose loop is closed.
    SETTINGS.outputs.clear()  # pyright: ignore[reportAttributeAccessIssue]  the SDK's own decorator misleads it
    try:
        mocks.set_mocks(_NoMocks(), project=PROJECT, stack=stack, preview=preview, monitor=monitor)

        async def run() -> None:
            program()
            await wait_for_rpcs()
            root = pulumi.runtime.settings.get_root_resource()
            if isinstance(root, Stack):
                exported = await rpc.serialize_properties(root.outputs, {})
                monitor.exports = decode(exported)

        loop.run_until_complete(run())
    finally:
        if collecting:
            gc.enable()
        asyncio.set_event_loop(None)
        loop.close()
    return Graph(stack, preview, tuple(monitor.recorded), monitor.exports)


class _AtOnce(ThreadPoolExecutor):
    """Our monitor answers from memory: changing threads for each call would take longer than the answers."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = Future[Any]()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as failure:
            future.set_exception(failure)
        return future


class _NoMocks(mocks.Mocks):
    """set_mocks wants mocks; our monitor answers registrations itself and the program may not call functions."""

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise RuntimeError(f"the program looked up {args.token}: it must be a pure function of its settings")

    def new_resource(self, args: mocks.MockResourceArgs) -> Any:
        raise RuntimeError(f"{args.name}: reading an existing resource is a look-up, which the program may not do")


class _Monitor(mocks.MockMonitor):
    def __init__(self, answer: Answer) -> None:
        super().__init__(_NoMocks())
        self.recorded: list[Resource] = []
        self.exports: dict[str, Any] = {}
        self._answer = answer

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        # The engine's form: the types of all ancestors but the stack.
        ancestors = parent.split("::")[2] if parent else _STACK
        qualified = type_ if ancestors == _STACK else f"{ancestors}${type_}"
        return super().make_urn("", qualified, name)

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == _STACK:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        registered = _resource(request, urn, decode(request.object))
        identifier, outputs = self._answer(registered)
        self.recorded.append(replace(registered, id=identifier, outputs=outputs))
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identifier, object=encode(outputs))


def _unknown(resource: Resource) -> tuple[str, Mapping[str, Any]]:
    return "", resource.inputs


def _created(region: str) -> Answer:
    from stacks.embedded.outputs import created

    def answer(resource: Resource) -> tuple[str, Mapping[str, Any]]:
        if not resource.custom:
            return "", resource.inputs
        inputs = revealed(dict(resource.inputs))
        identifier, computed = created(resource.type, resource.name, resource.urn, inputs, region)
        return identifier, {**resource.inputs, **computed}

    return answer


def _resource(request: Any, urn: str, inputs: dict[str, Any]) -> Resource:
    return Resource(
        urn=urn,
        type=request.type,
        name=request.name,
        custom=request.custom,
        parent=request.parent,
        inputs=inputs,
        outputs=inputs,
        id="",
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies={
            key: tuple(sorted(row.urns)) for key, row in request.propertyDependencies.items() if row.urns
        },
        options=Options(
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            delete_before_replace=request.deleteBeforeReplace,
            deleted_with=request.deletedWith,
            delete_timeout=request.customTimeouts.delete,
            ignore_changes=tuple(request.ignoreChanges),
            aliases=tuple(alias.urn or alias.spec.name for alias in request.aliases),
            provider=request.provider.rsplit("::", 1)[0],
        ),
    )


def main(arguments: list[str]) -> None:
    """Print a stack's graph as a tree, or as JSON."""
    from stacks.tree import as_json, print_tree

    parser = argparse.ArgumentParser(prog="python -m stacks.capture", description=main.__doc__)
    parser.add_argument("--stack", default="dev", help="which Pulumi.<stack>.yaml (default: dev)")
    parser.add_argument("--update", action="store_true", help="with the embedded cloud's outputs instead of unknowns")
    parser.add_argument("--json", action="store_true", help="the whole graph, for machines")
    parser.add_argument("--state", action="store_true", help="what the review compares; may hold secret values")
    chosen = parser.parse_args(arguments)
    config, stand_in = with_checkout_image(read_stack(chosen.stack))
    settings = settings_of(config, f"Pulumi.{chosen.stack}.yaml")
    graph = capture(settings, chosen.stack, preview=not (chosen.update or chosen.state))
    if chosen.state:
        sys.stdout.write(to_text(graph))
    elif chosen.json:
        sys.stdout.write(as_json(graph) + "\n")
    else:
        print_tree(graph, stand_in_image=stand_in)


if __name__ == "__main__":
    sys.exit(run_command(main))
