"""What LangGraph's own servers have and this service has not: 501 with the reason, where a client would meet a 404."""

from __future__ import annotations

from fastapi import APIRouter

from app.api.dependencies import ERRORS, READ
from app.runtime.problems import NotSupported

NOT_SUPPORTED: dict[str, str] = {}
"""By subject; docs/reference/client-methods.md shows the reasons."""

_ROUTES: dict[str, tuple[str, ...]] = {}

router = APIRouter(tags=["not supported"], responses=ERRORS, include_in_schema=False)


def _refuse(subject: str, path: str) -> None:
    async def refuse() -> None:
        raise NotSupported(NOT_SUPPORTED[subject])

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    router.add_api_route(path, refuse, methods=methods, dependencies=[READ], name=f"refuse_{subject}")


for _subject, _paths in _ROUTES.items():
    for _path in _paths:
        _refuse(_subject, _path)
