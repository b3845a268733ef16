"""What routers need from the running application, typed."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import Depends, Request

from app.api.errors import ErrorBody
from app.runtime.service import Service

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (404, 409, 413, 422, 429, 500, 503, 504)
}


# Coroutines, for FastAPI calls plain functions in a thread: 5 % of a small request's CPU.
async def _service(request: Request) -> Service:
    return cast("Service", request.app.state.service)


async def _service_with_database(request: Request) -> Service:
    service = await _service(request)
    service.database.require()
    return service


AnyService = Annotated[Service, Depends(_service)]
ReadyService = Annotated[Service, Depends(_service_with_database)]
