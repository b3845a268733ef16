"""Names the service's tests share: a project to serve, and how to open the application."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx

STEPWISE = Path(__file__).parent / "projects" / "stepwise" / "langgraph.json"

OpenClient = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
"""Takes settings to change; gives a client of the running application."""
