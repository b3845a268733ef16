"""What an ASGI message says of the answer that it begins: that of a request, or of a WebSocket's handshake."""

from __future__ import annotations

from starlette.types import Message

_BEGINS = {"http.response.start", "websocket.http.response.start"}  # the second refuses a WebSocket


def begun_status(message: Message) -> int | None:
    """None for a message that begins none."""
    if message["type"] in _BEGINS:
        return message["status"]
    return 101 if message["type"] == "websocket.accept" else None
