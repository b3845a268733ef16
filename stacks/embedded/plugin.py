"""How a plugin of ours serves the engine: its port on stdout, and an end with the engine."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import NoReturn

import grpc

# A state with a large Helm values file passes gRPC's 4 MiB.
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def serve(register: Callable[[grpc.Server], None]) -> NoReturn:
    """Serve what ``register`` adds to the server until the engine ends us or is gone."""
    # The engine ends a plugin by SIGINT and waits a minute for it; plugins are in process groups of their own, so a
    # terminal's Ctrl-C does not come here.
    signal.signal(signal.SIGINT, _end)
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    # What a plugin makes lives to its end, which is near: looking for cycles took a fifth of a preview's CPU.
    gc.disable()
    server = grpc.server(ThreadPoolExecutor(16), options=_UNLIMITED)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()
    _end()


def _end_with(parent: int) -> None:
    """A killed engine cannot end its plugins: they watch for it."""
    while os.getppid() == parent:
        time.sleep(0.5)
    _end()


def _end(*_: object) -> NoReturn:
    """End without unwinding: every answer was written before it was given."""
    os._exit(0)
