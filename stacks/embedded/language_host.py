# ruff: noqa: N802 - gRPC's names
"""A Pulumi language host for Python programs, so that the CLI runs ours without an installed one.

The engine starts it as ``pulumi-language-python``; it prints its port first. The SDK's automation server does the
running; this adds what the engine asks beside it.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2


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


def end_at_once(*_: object) -> None:
    """End without unwinding: every answer was written before it was given."""
    os._exit(0)


def serve(arguments: list[str]) -> None:
    """Serve until the engine ends us. The engine's address is the last argument that is no flag."""
    engine = next((value for value in reversed(arguments) if not value.startswith("-")), "")
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    signal.signal(signal.SIGINT, end_at_once)  # how the engine ends a plugin
    server.wait_for_termination()


if __name__ == "__main__":
    serve(sys.argv[1:])
