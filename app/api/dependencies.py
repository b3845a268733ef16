"""What routers need from the running application, typed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any, cast

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.api.errors import ErrorBody
from app.runtime.problems import Forbidden
from app.runtime.service import Service
from app.security.caller import LAPTOP, Caller, Scope

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (401, 403, 404, 409, 413, 422, 429, 500, 503, 504)
}


# Coroutines, for FastAPI calls plain functions in a thread: 5 % of a small request's CPU.
async def _service(connection: HTTPConnection) -> Service:
    return cast("Service", connection.app.state.service)


async def _service_with_database(connection: HTTPConnection) -> Service:
    service = await _service(connection)
    service.database.require()
    return service


AnyService = Annotated[Service, Depends(_service)]
ReadyService = Annotated[Service, Depends(_service_with_database)]


async def _caller(connection: HTTPConnection) -> Caller:
    return cast("Caller", connection.scope.get("caller", LAPTOP))  # the middleware of app/security puts it there


CurrentCaller = Annotated[Caller, Depends(_caller)]


async def _stream(service: AnyService, caller: CurrentCaller) -> AsyncGenerator[None]:
    with service.streams.opened(caller):
        yield  # until the answer's last byte


STREAM = Depends(_stream)
"""For a route that answers with a stream: refused when too many are open."""


async def _wait(service: AnyService, caller: CurrentCaller) -> AsyncGenerator[None]:
    with service.streams.opened(caller, "waits"):
        yield  # until the answer's last byte


WAIT = Depends(_wait)
"""For a route that answers when a run has ended: refused when too many of the caller's wait."""


def _needs(scope: Scope) -> Any:
    async def check(caller: CurrentCaller, connection: HTTPConnection) -> None:
        connection.scope["needs"] = scope  # what the audit log calls it by
        if scope not in caller.scopes:
            raise Forbidden(f"This needs the scope {scope}, which your token does not have. Ask for it at sign-in.")

    return Depends(check)


READ = _needs("read")
RUN = _needs("run")
ADMIN = _needs("admin")
"""What a route asks of its caller: `dependencies=[READ]`."""
