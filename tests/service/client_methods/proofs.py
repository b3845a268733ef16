"""All rows: the modules of the proofs register theirs when they are imported."""

from tests.service.client_methods import assistants, automation, runs, streams, threads
from tests.service.client_methods.registry import ROWS

__all__ = ["ROWS", "assistants", "automation", "runs", "streams", "threads"]
