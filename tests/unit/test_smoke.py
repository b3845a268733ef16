"""Asking a service that was just deployed, over real HTTP: whether it is ready, answers, and goes on doing so."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stacks.delivery.canary import Standing, Undecided
from stacks.delivery.smoke import smoke, watched
from stacks.terminal import Refused


@dataclass
class Service:
    """What a service answers from now on."""

    unready: int = 0  # how often /ready says no
    good: int = 1000  # runs until they fail
    key: str = ""
    asked: list[str] = field(default_factory=list[str])
    address: str = ""


@pytest.fixture
def service() -> Generator[Service]:
    state = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept

        def do_GET(self) -> None:
            state.unready -= 1
            self.answer(503 if state.unready >= 0 else 200)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            state.asked.append(self.path)
            if state.key and self.headers.get("authorization") != f"Bearer {state.key}":
                self.answer(401)
            else:
                self.answer(200 if len(state.asked) <= state.good else 500)

        def answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "16")
            self.end_headers()
            self.wfile.write(b'{"answer": "ok"}')

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    state.address = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_waits_until_the_service_is_ready_then_asks_forty_times(service: Service) -> None:
    service.unready = 2
    slept: list[float] = []
    assert "40 runs, 8 at once" in smoke(service.address, sleep=slept.append)
    assert slept == [5, 5]
    assert service.asked == ["/workflow/execute"] * 40


def test_a_service_that_stays_unready_or_fails_a_run_is_refused(service: Service) -> None:
    clock = iter(range(0, 10_000, 200))
    service.unready = 1000
    with pytest.raises(Refused, match="not ready: /ready answered 503"):
        smoke(service.address, sleep=lambda _: None, clock=lambda: next(clock))
    service.unready, service.good = 0, 39
    with pytest.raises(Refused, match=r"of 40 runs failed: it answered 500"):
        smoke(service.address)


def test_a_key_signs_in_and_without_it_the_remedy_is_named(service: Service) -> None:
    service.key = "lgk_x"
    smoke(service.address, "lgk_x")
    with pytest.raises(Refused, match=r"it answered 401\. Set SERVICE_KEY") as refusal:
        smoke(service.address, "wrong-key")
    assert "wrong-key" not in str(refusal.value)


GOING_ON, PROMOTED = Standing(promoted=False, said="Paused"), Standing(promoted=True, said="Healthy")


def test_the_service_is_asked_once_a_minute_until_its_canary_is_promoted(service: Service) -> None:
    slept: list[float] = []
    standing = iter([GOING_ON, GOING_ON, PROMOTED])
    watched(service.address, 25, "", lambda: next(standing), sleep=slept.append)
    assert slept == [60, 60]
    assert len(service.asked) == 3 * 40


def test_a_canary_that_goes_bad_while_it_is_watched_is_refused(service: Service) -> None:
    service.good = len(service.asked) + 60
    with pytest.raises(Refused, match="of 40 runs failed") as refusal:
        watched(service.address, 5, "", lambda: GOING_ON, sleep=lambda _: None)
    assert not isinstance(refusal.value, Undecided)


def test_a_canary_that_does_not_end_is_left_to_people(service: Service) -> None:
    with pytest.raises(Undecided, match=r"not ended in 2 minutes \(Paused\)\. Nothing was taken back: promote it"):
        watched(service.address, 2, "", lambda: GOING_ON, sleep=lambda _: None)
