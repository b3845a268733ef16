# ruff: noqa: N802 - gRPC's names
"""A stand-in as a Pulumi resource plugin: the provider gRPC interface over a Cloud.

Run by the engine as ``pulumi-resource-<package>``, one process per provider; prints its port first.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf import any_pb2, empty_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from stacks.embedded import kubernetes as kubernetes_objects
from stacks.embedded.aws import Aws
from stacks.embedded.cloud import Change, Cloud, CloudError
from stacks.embedded.kubernetes import Kubernetes
from stacks.embedded.language_host import end_at_once
from stacks.embedded.random import Random
from stacks.embedded.store import Store
from stacks.graph import UNKNOWN
from stacks.terminal import Refused
from stacks.wire import decode, encode

STORE_VARIABLE = "EMBEDDED_CLOUD_STORE"
CLOUDS: dict[str, Callable[[Store], Cloud]] = {"aws": Aws, "kubernetes": Kubernetes, "random": Random}
_KINDS = provider_pb2.PropertyDiff
_Answer = TypeVar("_Answer")


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Translates the engine's requests; what is allowed is the Cloud's to say."""

    def __init__(self, package: str, store: Store) -> None:
        self._package, self._store = package, store
        self._cloud = CLOUDS[package](store)

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=False, accept_outputs=False)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._cloud.version)

    def GetSchema(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetSchemaResponse(schema="{}")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        if self._package != "kubernetes":
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_UNKNOWN)
        old, new = decode(request.old_inputs), decode(request.news)
        replaces = kubernetes_objects.diff_config(old, new)
        some = provider_pb2.DiffResponse.DIFF_SOME if old != new else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=some, replaces=replaces, diffs=replaces)

    def Configure(self, request: Any, context: Any) -> Any:
        arguments = decode(request.args)
        if not any(value is UNKNOWN for value in arguments.values()):
            _answering(context, lambda: self._cloud.configure(arguments))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:
        inputs, failures = _answering(
            context,
            lambda: self._cloud.check(
                _type(request.urn), request.urn, decode(request.olds), decode(request.news), request.randomSeed
            ),
        )
        reasons = [provider_pb2.CheckFailure(property=path, reason=reason) for path, reason in failures]
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=reasons)

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = decode(request.old_inputs), decode(request.news)
        change = _answering(context, lambda: self._cloud.diff(_type(request.urn), old, new))
        kept = {path: replaces for path, replaces in change.paths.items() if path not in request.ignoreChanges}
        some = provider_pb2.DiffResponse.DIFF_SOME if kept else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some,
            diffs=sorted({path.split(".")[0] for path in kept}),
            replaces=Change(kept).replaces,
            deleteBeforeReplace=change.delete_first,
            detailedDiff={path: _property_diff(path, replaces, old, new) for path, replaces in kept.items()},
            hasDetailedDiff=True,
        )

    def Create(self, request: Any, context: Any) -> Any:
        type_, inputs = _type(request.urn), decode(request.properties)
        self._fail_if_told(context, type_, "create", request.preview)
        identifier, outputs = _answering(
            context, lambda: self._cloud.create(type_, request.urn, inputs, preview=request.preview)
        )
        if not request.preview and self._store.take_fault(type_, "create", after=True):
            _abort_initialised(context, identifier, outputs, inputs)
        return provider_pb2.CreateResponse(id=identifier, properties=encode(outputs))

    def Read(self, request: Any, context: Any) -> Any:
        found = _answering(context, lambda: self._cloud.read(_type(request.urn), request.id))
        if found is None:
            return provider_pb2.ReadResponse()
        inputs, outputs = found
        return provider_pb2.ReadResponse(id=request.id, inputs=encode(inputs), properties=encode(outputs))

    def Update(self, request: Any, context: Any) -> Any:
        type_ = _type(request.urn)
        self._fail_if_told(context, type_, "update", request.preview)
        outputs = _answering(
            context,
            lambda: self._cloud.update(
                type_, request.id, request.urn, decode(request.olds), decode(request.news), preview=request.preview
            ),
        )
        return provider_pb2.UpdateResponse(properties=encode(outputs))

    def Delete(self, request: Any, context: Any) -> Any:
        type_ = _type(request.urn)
        self._fail_if_told(context, type_, "delete", False)
        _answering(context, lambda: self._cloud.delete(type_, request.id, decode(request.properties)))
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        _abort(context, f"{request.tok}: the program must be a pure function of its settings and may look nothing up")

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def _fail_if_told(self, context: Any, type_: str, operation: str, preview: bool) -> None:
        if not preview and self._store.take_fault(type_, operation, after=False):
            _abort(context, f"InternalFailure: injected: {operation} of {type_} failed, nothing was done")


def _type(urn: str) -> str:
    return urn.split("::")[2].rsplit("$", 1)[-1]


def _answering(context: Any, ask: Callable[[], _Answer]) -> _Answer:
    """The answer, or the cloud's refusal as an error of the call."""
    try:
        return ask()
    except (CloudError, Refused) as refusal:
        _abort(context, str(refusal))


def _abort(context: Any, message: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNKNOWN, message)
    raise AssertionError("abort raises")


def _abort_initialised(
    context: Any, identifier: str, outputs: Mapping[str, Any], inputs: Mapping[str, Any]
) -> NoReturn:
    """Fail after the resource was made, the way that lets the engine remember it (pulumi/errors.proto)."""
    message = "InternalFailure: injected: made, but its initialisation failed"
    detail = any_pb2.Any()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=identifier, properties=encode(outputs), reasons=[message], inputs=encode(inputs)
        )
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    _abort(context, message)


def _property_diff(path: str, replaces: bool, old: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    before, after = (_has(side, path.split(".")) for side in (old, new))
    kind = "ADD" if after and not before else "DELETE" if before and not after else "UPDATE"
    return _KINDS(kind=_KINDS.Kind.Value(f"{kind}_REPLACE" if replaces else kind), inputDiff=True)


def _has(value: Any, path: list[str]) -> bool:
    return not path or (isinstance(value, dict) and path[0] in value and _has(value[path[0]], path[1:]))


def serve(package: str) -> int:
    """Serve a package until the engine ends us."""
    try:
        store = Store(Path(os.environ[STORE_VARIABLE]))
    except Refused as refusal:
        sys.stderr.write(f"{refusal}\n")
        return int(refusal.code)
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(16), options=unlimited)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(package, store), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    # The engine ends a plugin by SIGINT and waits a minute for it; plugins are in process groups of their own, so a
    # terminal's Ctrl-C does not come here.
    signal.signal(signal.SIGINT, end_at_once)
    server.wait_for_termination()
    return 0


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1]))
