"""One shape for every error: {"error": {"code", "message", "field"?, "request_id"}}."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError, ValidationException, WebSocketRequestValidationError
from fastapi.responses import JSONResponse
from psycopg import OperationalError
from psycopg_pool import PoolTimeout
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from app.observability.logs import current
from app.runtime import problems
from app.runtime.problems import LimitReached, Problem

STATUS: dict[type[Problem], int] = {
    problems.Forbidden: 403,
    problems.UnknownThread: 404,
    problems.UnknownCheckpoint: 404,
    problems.UnknownRun: 404,
    problems.UnknownCron: 404,
    problems.ThreadExists: 409,
    problems.AssistantExists: 409,
    problems.SystemAssistant: 409,
    problems.UnknownVersion: 404,
    problems.NoGraph: 409,
    problems.RunEnded: 409,
    problems.RunNotEnded: 409,
    problems.NothingToAnswer: 409,
    problems.KeyReused: 422,
    problems.LimitReached: 429,
    problems.QueueFull: 429,
    problems.HandedOver: 503,
    problems.UnknownGraph: 404,
    problems.WrongGraph: 409,
    problems.ThreadBusy: 409,
    problems.InvalidInput: 422,
    problems.LeaseLost: 503,
    problems.Unavailable: 503,
}
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 408: "body_too_slow", 413: "body_too_large"}
DATABASE_RETRY_SECONDS = 2


class LimitDetail(BaseModel):
    """Which limit refused the request, what it allows, and when to try again."""

    name: str
    value: str
    retry_after_seconds: int


class ErrorDetail(BaseModel):
    code: str
    message: str
    field: str | None = None
    request_id: str | None = None
    limit: LimitDetail | None = None


class ErrorBody(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorDetail


def error_response(
    status: int,
    code: str,
    message: str,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
    limit: LimitDetail | None = None,
) -> JSONResponse:
    detail = ErrorDetail(code=code, message=message, field=field, request_id=current("request_id"), limit=limit)
    return JSONResponse(ErrorBody(error=detail).model_dump(exclude_none=True), status, headers)


def add_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(WebSocketRequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OperationalError, _database_away)
    app.add_exception_handler(PoolTimeout, _database_away)


def _problem(_: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Problem)  # noqa: S101  Starlette calls it with the type it was registered for
    return problem_response(problem)


def problem_response(problem: Problem) -> JSONResponse:
    headers = {"retry-after": str(problem.retry_after)} if problem.retry_after else None
    limit = None
    if isinstance(problem, LimitReached):
        limit = LimitDetail(name=problem.limit, value=problem.value, retry_after_seconds=problem.retry_after or 1)
    return error_response(STATUS[type(problem)], problem.code, problem.message, problem.field, headers, limit)


def _invalid(_: Request, failure: Exception) -> JSONResponse:
    assert isinstance(failure, ValidationException)  # noqa: S101  as above
    error: dict[str, Any] = failure.errors()[0]
    if error["type"] == "json_invalid":
        return error_response(422, "invalid_json", f"The body is not JSON: {error['ctx']['error']}.", "body")
    where, *path = error["loc"]  # body, path or query
    field, message = fault(path, error["msg"], where)
    return error_response(422, "invalid_request", message, field)


def fault(path: Sequence[int | str], said: str, where: str) -> tuple[str, str]:
    """The field that pydantic found wrong, and the message about it."""
    # A part with a bracket names a type, not a key.
    field = ".".join(str(part) for part in path if "[" not in str(part)) or where
    return field, f"{field}: {said.removeprefix('Value error, ')}."


def _http(_: Request, failure: Exception) -> JSONResponse:
    assert isinstance(failure, HTTPException)  # noqa: S101  as above
    if failure.status_code == 400:
        # FastAPI's answer to what its JSON parser could not even start on: bad UTF-8, nesting beyond Python's stack.
        return error_response(422, "invalid_json", "The body is not JSON in UTF-8, or nested too deeply.", "body")
    code = CODES.get(failure.status_code, "http_error")
    return error_response(failure.status_code, code, failure.detail, headers=failure.headers)


def _database_away(_: Request, failure: Exception) -> JSONResponse:
    headers = {"retry-after": str(DATABASE_RETRY_SECONDS)}
    return error_response(
        503,
        "database_unavailable",
        f"PostgreSQL cannot be used now ({type(failure).__name__}). Try again.",
        None,
        headers,
    )
