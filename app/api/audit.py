"""Puts on record what signed-in callers do, before they are answered; and sign-ins that were refused."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import psycopg
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import problem_response
from app.asgi import begun_status
from app.observability.logs import current
from app.runtime.problems import Unavailable
from app.security.audit import Audit, Note, concealed, noted
from app.security.audit_chain import Action, Entry
from app.security.caller import LAPTOP

RETRY_SECONDS = 2
NOT_RECORDED = "Done or not, this cannot be put on record now, so it is not answered. Send it again."
UNNAMED = {"user"}  # parameters of paths that name a person; the handler notes the subject in their place


class Audited:
    """Outside of the sign-in. Without sign-in there is nobody to put on record."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        kept, started, lost = Note(), False, False
        token = noted.set(kept)

        async def send_recorded(message: Message) -> None:
            nonlocal started, lost
            if status := begun_status(message):
                started = True
                try:
                    await _record(scope, status, kept)
                except psycopg.Error:
                    lost = True
                    problem = Unavailable(NOT_RECORDED, retry_after=RETRY_SECONDS)
                    await problem_response(problem)(scope, receive, send)
                    raise
            await send(message)

        try:
            await self._app(scope, receive, send_recorded)
        except Exception:
            if lost:
                return  # answered already
            if not started:
                with suppress(psycopg.Error):
                    await _record(scope, 500, kept)
            raise
        finally:
            noted.reset(token)


async def _record(scope: Scope, status: int, kept: Note) -> None:
    caller = scope.get("caller")
    action = action_of(scope, status)
    if action is None or (status == 503 and not kept.object):  # refused before anything was done
        return
    audit: Audit = scope["app"].state.service.audit
    subject = await audit.subject(caller) if caller else None
    identifiers = kept.object.split(" ") if kept.object else _identifiers(scope)
    route = scope.get("route")
    entry = Entry(
        at=datetime.now(UTC),
        tenant=caller.tenant if caller else "",
        subject=subject.subject if subject else None,
        key_id=caller.key_id if caller else None,
        action=kept.action or action,
        operation=getattr(route, "operation_id", None) or getattr(route, "name", "sign_in"),
        object=" ".join(text for name in identifiers if (text := concealed(subject, name))) or None,
        request_id=concealed(subject, current("request_id")),
        status=status,
    )
    await audit.append(entry)


def action_of(scope: Scope, status: int) -> Action | None:
    """By what the route asks of its caller; None for what is open to all, and for what a limit refused."""
    caller, needs = scope.get("caller"), scope.get("needs")
    if caller is None:
        return "sign-in refused" if status == 401 else None
    if caller == LAPTOP or needs is None:
        return None
    if needs == "read":
        return "read"
    path, method = scope["path"], scope["method"]
    if method == "DELETE" or path.endswith("/prune"):
        return "delete"
    if needs == "admin":
        return "export" if path.endswith("/export") else "admin"
    begins = path.startswith(("/runs", "/workflow")) or path.endswith(
        ("/runs", "/runs/wait", "/runs/stream", "/commands")
    )
    return "run" if begins and not path.endswith("/cancel") and "/crons" not in path else "change"


def _identifiers(scope: Scope) -> list[str]:
    return [str(value) for name, value in scope.get("path_params", {}).items() if name not in UNNAMED]
