"""The service: LangGraph graphs behind an HTTP interface, with their state in PostgreSQL."""

import os

__version__ = "0.1.0"

# LangGraph reads this once, when it is first imported. Without it a checkpoint may name any Python callable, and
# loading the checkpoint would call it. With it, only LangGraph's own safe types and those of the graph's schema load.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
