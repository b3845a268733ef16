# ruff: noqa: N802 - gRPC's names
"""A Pulumi language host for Python programs, so that the CLI runs ours without an installed one.

The engine starts it as ``pulumi-language-python``; the SDK's automation server does the running; this adds what the
engine asks beside it.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from google.protobuf import empty_pb2
from pulumi import log
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from stacks.embedded.plugin import serve


class LanguageHost(LanguageServer):
    """Runs the program at the project's entry point."""

    def __init__(self, engine: str) -> None:
        super().__init__(lambda: None)
        self._engine = engine

    def Handshake(self, request: Any, context: Any) -> Any:
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=version("pulumi"))

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        return iter(())  # the environment we run in is the project's

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:
        return language_pb2.RuntimeOptionsResponse()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Run(self, request: Any, context: Any) -> Any:
        program = Path(request.info.program_directory, request.info.entry_point or ".").resolve()
        os.chdir(request.pwd or request.info.program_directory)

        # The SDK's words for its own debugging: a call to the engine each, which drops them; a tenth of a preview's CPU.
        log.debug = _nothing

        def run() -> None:
            runpy.run_path(str(program), run_name="__main__")

        self.program = run
        if not request.args:
            request.args.append(self._engine)
        return super().Run(request, context)

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        """Run a plugin written in Python; policy packs are the ones that come this way."""
        directory = request.info.program_directory
        module = ["-m", "pulumi.policy"] if request.kind == "analyzer" else []
        command = [sys.executable, "-u", *module, *request.args, directory]
        environment = {**os.environ, **dict(entry.split("=", 1) for entry in request.env)}
        with subprocess.Popen(command, cwd=request.pwd, env=environment, stdout=subprocess.PIPE) as plugin:
            if plugin.stdout is not None:
                for line in plugin.stdout:
                    yield language_pb2.RunPluginResponse(stdout=line)
            yield language_pb2.RunPluginResponse(exitcode=plugin.wait())


def _nothing(*_: object, **__: object) -> None: ...


def main(arguments: list[str]) -> None:
    """Serve the engine, whose address is the last argument that is no flag."""
    host = LanguageHost(next((value for value in reversed(arguments) if not value.startswith("-")), ""))
    serve(lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server))


if __name__ == "__main__":
    main(sys.argv[1:])
