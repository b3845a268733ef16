"""What clients may do to connections: slow ones are let go, others learn to come again elsewhere."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.service.processes import Running, Services
from tests.service.sdk import CONVERSATION
from tests.service.waiting import eventually_sync

POST = b"POST /threads HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n"


def connect(service: Running) -> socket.socket:
    url = httpx.URL(service.url)
    return socket.create_connection((url.host, url.port or 0), timeout=20)


def answered(connection: socket.socket) -> str:
    """All that comes until the other end closes."""
    found = b""
    while part := connection.recv(65_536):
        found += part
    return found.decode()


def test_slow_clients_are_let_go_and_answers_carry_the_security_headers(services: Services, database_url: str) -> None:
    service = services.start(database_url=database_url, head_seconds=0.5, body_seconds=0.5)
    with connect(service) as silent, connect(service) as slow, connect(service) as again, connect(service) as body:
        slow.sendall(b"GET /info HTTP/1.1\r\nhost: x\r\nx-slow: ")
        again.sendall(b"GET /ok HTTP/1.1\r\nhost: x\r\n\r\n")
        while b"ok" not in again.recv(65_536):
            pass
        again.sendall(b"GET /ok HTTP/1.1\r\nhost: x\r\n")  # nor may a second request on a connection be slow
        body.sendall(POST + b'{"meta')
        assert [answered(connection).split("\r\n")[0] for connection in (silent, slow, again)] == [
            "HTTP/1.1 408 Request Timeout"
        ] * 3
        told = answered(body)
        assert told.startswith("HTTP/1.1 408")
        assert "connection: close" in told
        assert "body_too_slow" in told

    with connect(service) as endless, pytest.raises((BrokenPipeError, ConnectionResetError)):
        endless.sendall(b"GET /info HTTP/1.1\r\nhost: x\r\n" + 100 * (b"x-long: " + b"x" * 64_000))  # 6.4 MB

    for path in ("/info", "/threads/none", "/nowhere"):
        headers = service.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["strict-transport-security"]
    assert "server" not in service.get("/ok").headers


def test_a_process_that_drains_takes_no_work_answers_reads_and_closes_connections(
    services: Services, database_url: str, folder: Path
) -> None:
    service = services.start(database_url=database_url, config=CONVERSATION, drain_seconds=20)
    release = folder / "release"
    held = {"reached": str(folder / "reached"), "release": str(release)}
    body = {"assistant_id": "steps", "input": held, "if_not_exists": "create"}
    with httpx.Client(base_url=service.url, timeout=30) as client:
        assert client.post("/threads/t/runs", json=body).status_code == 200
        eventually_sync((folder / "reached").exists)
        service.process.send_signal(signal.SIGTERM)
        eventually_sync(lambda: client.get("/ready").status_code == 503)

        for path in ("/threads/other/runs", "/threads/other/runs/wait", "/runs/wait", "/threads/other/runs/stream"):
            refused = client.post(path, json=body)
            assert (path, refused.status_code, refused.json()["error"]["code"]) == (path, 503, "unavailable")
            assert refused.headers["retry-after"]
            assert refused.headers["connection"] == "close"
        read = client.get("/threads/t")
        assert (read.status_code, read.headers["connection"]) == (200, "close")
    release.touch()
    assert service.process.wait(30) == 0


@pytest.mark.anyio
async def test_an_address_forwarded_by_a_client_on_this_machine_is_not_believed(
    services: Services, database_url: str
) -> None:
    service = services.start(database_url=database_url, address_rate=0.01, address_burst=1)
    async with httpx.AsyncClient(base_url=service.url) as client:
        headers = {"x-forwarded-for": "203.0.113.9"}
        answers = await asyncio.gather(*(client.get("/info", headers=headers) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
