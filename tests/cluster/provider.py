"""The kubernetes stand-in in front of a real API server: the engine's plugin for this tier.

``python -m tests.cluster.provider KUBECONFIG DEFINITIONS PATIENCE``; tests/cluster/running.py puts it in the place of the embedded one.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pulumi.runtime.proto import provider_pb2_grpc

from stacks.embedded import provider as embedded
from stacks.embedded.plugin import serve
from stacks.embedded.store import Store
from stacks.wire import decode, encode
from tests.cluster.api import Api
from tests.cluster.objects import ApiServer, NotReady

_Answer = TypeVar("_Answer")


class Provider(embedded.Provider):
    """What needs the old inputs, or an answer that is half a failure, which the embedded cloud never gives."""

    def Create(self, request: Any, context: Any) -> Any:
        return _kept(context, request.properties, lambda: super(Provider, self).Create(request, context))

    def Update(self, request: Any, context: Any) -> Any:
        return _kept(context, request.news, lambda: super(Provider, self).Update(request, context))

    def Read(self, request: Any, context: Any) -> Any:
        """As the program wrote it, as long as that says the same: ``1000m`` is not drift from ``1``."""
        found = super().Read(request, context)
        known = decode(request.inputs)
        if found.id and known and isinstance(self.cloud, ApiServer):
            inputs = self.cloud.as_written(decode(found.inputs), known)
            found.inputs.CopyFrom(encode(embedded.hidden(inputs, known)))
        return found


def _kept(context: Any, inputs: Any, ask: Callable[[], _Answer]) -> _Answer:
    try:
        return ask()
    except NotReady as failure:
        embedded.abort_initialised(context, str(failure), failure.identifier, failure.outputs, decode(inputs))


def main(kubeconfig: str, definitions: str, patience: str) -> None:
    """Serve until the engine ends us."""
    api = Api(Path(kubeconfig))
    server = functools.partial(ApiServer, api=api, definitions=Path(definitions), patience=float(patience))
    embedded.CLOUDS["kubernetes"] = server
    provider = Provider("kubernetes", Store(Path(os.environ[embedded.STORE_VARIABLE])))
    serve(lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server))


if __name__ == "__main__":
    main(*sys.argv[1:4])
