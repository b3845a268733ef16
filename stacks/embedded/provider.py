# ruff: noqa: N802 - gRPC's names
"""A stand-in as a Pulumi resource plugin: the provider gRPC interface over a Cloud.

Run by the engine as ``pulumi-resource-<package>``, one process per provider.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import grpc
from google.protobuf import any_pb2, empty_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from stacks.embedded import kubernetes as kubernetes_objects
from stacks.embedded.aws import Aws
from stacks.embedded.cloud import Cloud, CloudError, Difference
from stacks.embedded.kubernetes import Kubernetes
from stacks.embedded.plugin import serve
from stacks.embedded.random import Random
from stacks.embedded.store import Store
from stacks.graph import Secret
from stacks.terminal import Refused
from stacks.wire import decode, encode, revealed

STORE_VARIABLE = "EMBEDDED_CLOUD_STORE"
CLOUDS: dict[str, Callable[[Store], Cloud]] = {"aws": Aws, "kubernetes": Kubernetes, "random": Random}
_KINDS = provider_pb2.PropertyDiff
_Answer = TypeVar("_Answer")


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Translates the engine's requests; what is allowed is the Cloud's to say."""

    def __init__(self, package: str, store: Store) -> None:
        self._package, self._store = package, store
        self.cloud = CLOUDS[package](store)

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=False, accept_outputs=False)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self.cloud.version)

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
        _answering(context, lambda: self.cloud.configure(arguments))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:
        inputs, failures = _answering(
            context,
            lambda: self.cloud.check(
                _type(request.urn), request.urn, decode(request.olds), decode(request.news), request.randomSeed
            ),
        )
        # Without a property of its own: the engine would print that property's value, which may be a secret.
        reasons = [
            provider_pb2.CheckFailure(reason=f"{path}: {reason}" if path else reason) for path, reason in failures
        ]
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=reasons)

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = decode(request.old_inputs), decode(request.news)
        change = _answering(context, lambda: self.cloud.diff(_type(request.urn), old, new))
        some = provider_pb2.DiffResponse.DIFF_SOME if change.differences else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some,
            diffs=sorted({re.split(r"[.\[]", found.path)[0] for found in change.differences}),
            replaces=sorted(change.replacing),
            deleteBeforeReplace=change.delete_first,
            detailedDiff={
                found.path: _property_diff(found, replaces=found.path in change.replacing)
                for found in change.differences
            },
            hasDetailedDiff=True,
        )

    def Create(self, request: Any, context: Any) -> Any:
        type_, inputs = _type(request.urn), decode(request.properties)
        self._fail_if_told(context, type_, "create", request.preview)
        identifier, outputs = _answering(
            context, lambda: self.cloud.create(type_, request.urn, inputs, preview=request.preview)
        )
        if not request.preview and self._store.take_fault(type_, "create", after=True):
            message = "InternalFailure: injected: made, but its initialisation failed"
            abort_initialised(context, message, identifier, outputs, inputs)
        return provider_pb2.CreateResponse(id=identifier, properties=encode(hidden(outputs, inputs)))

    def Read(self, request: Any, context: Any) -> Any:
        found = _answering(context, lambda: self.cloud.read(_type(request.urn), request.id))
        if found is None:
            return provider_pb2.ReadResponse()
        # The store holds values in clear: what the engine knows as a secret must reach it as one.
        known = decode(request.inputs)
        inputs, outputs = (hidden(side, known) for side in found)
        outputs = hidden(outputs, decode(request.properties))
        return provider_pb2.ReadResponse(id=request.id, inputs=encode(inputs), properties=encode(outputs))

    def Update(self, request: Any, context: Any) -> Any:
        type_, new = _type(request.urn), decode(request.news)
        self._fail_if_told(context, type_, "update", request.preview)
        outputs = _answering(
            context,
            lambda: self.cloud.update(
                type_, request.id, request.urn, decode(request.olds), new, preview=request.preview
            ),
        )
        return provider_pb2.UpdateResponse(properties=encode(hidden(outputs, new)))

    def Delete(self, request: Any, context: Any) -> Any:
        type_ = _type(request.urn)
        self._fail_if_told(context, type_, "delete", False)
        _answering(context, lambda: self.cloud.delete(type_, request.id))
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


def abort_initialised(
    context: Any, message: str, identifier: str, outputs: Mapping[str, Any], inputs: Mapping[str, Any]
) -> NoReturn:
    """Fail after the resource was made, the way that lets the engine remember it (pulumi/errors.proto)."""
    detail = any_pb2.Any()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=identifier, properties=encode(hidden(outputs, inputs)), reasons=[message], inputs=encode(inputs)
        )
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    _abort(context, message)


def _property_diff(found: Difference, *, replaces: bool) -> Any:
    kind = f"{found.kind}_REPLACE" if replaces else found.kind
    return _KINDS(kind=_KINDS.Kind.Value(kind), inputDiff=True)


def hidden(value: Any, like: Any) -> Any:
    """The value with a secret wherever ``like`` has one: computed outputs and the store know values only in clear."""
    if isinstance(like, Secret):
        return value if isinstance(value, Secret) else Secret(value)
    if isinstance(value, dict) and isinstance(like, dict):
        model = cast("dict[str, Any]", like)
        return {key: hidden(item, model.get(key)) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list) and isinstance(like, list):
        items, models = cast("list[Any]", value), cast("list[Any]", like)
        if len(items) == len(models):
            return [hidden(item, model) for item, model in zip(items, models, strict=True)]
        return Secret(items) if models != revealed(models) else items
    return cast("Any", value)


def main(package: str) -> None:
    """Serve a package until the engine ends us."""
    try:
        store = Store(Path(os.environ[STORE_VARIABLE]))
    except Refused as refusal:
        sys.stderr.write(f"{refusal}\n")
        sys.exit(int(refusal.code))
    provider = Provider(package, store)
    serve(lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server))


if __name__ == "__main__":
    main(sys.argv[1])
