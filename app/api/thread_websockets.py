"""/threads/{thread_id}/stream/events by WebSocket: langgraph-sdk's other transport, one subscription a connection.

Commands go by POST as with server-sent events: there each is counted by the limits, and put on record.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import orjson
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from psycopg import OperationalError
from psycopg_pool import PoolTimeout
from pydantic import Field, ValidationError

from app.api.dependencies import READ, STREAM, CurrentCaller, ReadyService
from app.api.errors import fault
from app.api.protocol_bodies import LARGEST_NUMBER, Subscription
from app.api.protocol_events import first_run, protocol_events
from app.api.values import SdkBody, ThreadId
from app.runtime.problems import HandedOver, UnknownThread
from app.runtime.service import Service
from app.security.caller import Caller

router = APIRouter(prefix="/threads/{thread_id}")

SUBSCRIBE_SECONDS = 15.0
# RFC 6455 7.4.1 and IANA's registry of close codes. SDK clients come again after the first two, and for codes from 4000
# as for the HTTP status above it.
COME_AGAIN, TRY_LATER, THREAD_GONE = 1012, 1013, 1000
INVALID, TOO_SLOW, NOT_FOUND = 4422, 4408, 4404


class Subscribe(SdkBody):
    """The frame that the client begins with."""

    id: int = Field(ge=0, le=LARGEST_NUMBER)
    method: Literal["subscription.subscribe"]
    params: Subscription


@router.websocket("/stream/events", name="subscribe_to_thread", dependencies=[READ, STREAM])
async def subscribe(websocket: WebSocket, thread_id: ThreadId, service: ReadyService, caller: CurrentCaller) -> None:
    await service.threads.get(caller, thread_id)  # before the handshake: a refusal is the same answer as HTTP's
    await websocket.accept()
    try:
        async with asyncio.timeout(SUBSCRIBE_SECONDS):
            asked = Subscribe.model_validate_json(await _received(websocket))
    except TimeoutError:
        await websocket.close(TOO_SLOW, "no subscription came")
    except ValidationError as failure:
        await _refuse(websocket, failure)
    except WebSocketDisconnect:
        pass
    else:
        await _until_either_leaves(websocket, service, caller, thread_id, asked)


async def _until_either_leaves(
    websocket: WebSocket, service: Service, caller: Caller, thread_id: str, asked: Subscribe
) -> None:
    async with asyncio.TaskGroup() as group:
        telling = group.create_task(_tell(websocket, service, caller, thread_id, asked))
        hearing = group.create_task(_hear(websocket))
        await asyncio.wait((telling, hearing), return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        hearing.cancel()


async def _tell(websocket: WebSocket, service: Service, caller: Caller, thread_id: str, asked: Subscribe) -> None:
    code = THREAD_GONE
    try:
        number = await first_run(service, caller, thread_id, asked.params)
        await _send(websocket, {"type": "success", "id": asked.id, "result": {"subscription_id": "1"}})
        async for event in protocol_events(service, caller, thread_id, number, asked.params):
            if event:
                await _send(websocket, event)
    except WebSocketDisconnect:
        return
    except UnknownThread:  # deleted since the handshake
        code = NOT_FOUND
    except HandedOver:
        code = COME_AGAIN
    except (OperationalError, PoolTimeout):
        code = TRY_LATER
    await websocket.close(code)


async def _hear(websocket: WebSocket) -> None:
    """Ends when the client leaves, or says anything more. Its pings are answered below."""
    try:
        await _received(websocket)
    except WebSocketDisconnect:
        return
    message = "one subscription a connection; send commands to POST /threads/{thread_id}/commands"
    await _send(websocket, {"type": "error", "id": None, "error": "not_supported", "message": message})
    await websocket.close(INVALID)


async def _received(websocket: WebSocket) -> str | bytes:
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    return message.get("text") or message.get("bytes") or b""


async def _refuse(websocket: WebSocket, failure: ValidationError) -> None:
    error = failure.errors()[0]
    _, message = fault(error["loc"], error["msg"], "frame")
    await _send(websocket, {"type": "error", "id": None, "error": "invalid_argument", "message": message})
    await websocket.close(INVALID)


async def _send(websocket: WebSocket, frame: dict[str, object]) -> None:
    await websocket.send_text(orjson.dumps(frame).decode())
