"""The files of compose.yaml, judged by the programs that will read them."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compose.documented import commands
from tests.service.conftest import open_folder
from tests.service.processes import Services
from tests.service.waiting import eventually_sync
from tools.obtain import find

pytestmark = pytest.mark.compose
ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "tools" / "compose"
WAIT_SECONDS = 30


def tool(name: str) -> str:
    found = find(name)
    if found is None:
        pytest.skip(f"no {name}: run make tools")
    return str(found.path)


def run(*command: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def loaded(file: Path) -> subprocess.CompletedProcess[str]:
    return run(tool("compose-spec"), "-format", "json", file)


def test_compose_loads_the_file_and_finds_every_file_it_mounts() -> None:
    judged = loaded(ROOT / "compose.yaml")
    assert judged.returncode == 0, judged.stderr
    services: dict[str, dict[str, Any]] = json.loads(judged.stdout)["services"]
    mounts = [mount for service in services.values() for mount in service.get("volumes", [])]
    files = [Path(mount["source"]) for mount in mounts if mount["type"] == "bind"]
    assert len(files) == 6
    assert [file for file in files if not file.exists()] == []


def test_compose_refuses_a_key_it_does_not_know(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((ROOT / "compose.yaml").read_text().replace("stop_grace_period", "grace_period"))
    assert "grace_period" in loaded(wrong).stderr


def test_promtool_accepts_prometheus_configuration_and_rules(tmp_path: Path) -> None:
    shutil.copy(FILES / "prometheus.yaml", tmp_path)
    shutil.copy(FILES / "generated" / "rules.yaml", tmp_path)
    judged = run(tool("promtool"), "check", "config", "--lint=all", "--lint-fatal", tmp_path / "prometheus.yaml")
    assert judged.returncode == 0, judged.stdout + judged.stderr


@dataclass
class Service:
    """What nginx stands before; a stream sends its second event when the first was `heard`."""

    heard: threading.Event = field(default_factory=threading.Event)
    seen: list[dict[str, str]] = field(default_factory=list[dict[str, str]])


@dataclass(frozen=True)
class Front:
    client: httpx.Client
    service: Service


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the documented commands make."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    folder = tmp_path_factory.mktemp("host")
    made = run("sh", "-euc", commands()[0], folder=folder)
    assert made.returncode == 0, made.stderr
    return folder / ".compose"


@contextmanager
def nginx_before(upstream: int, secrets: Path, folder: Path) -> Generator[httpx.Client]:
    """nginx with the configuration as it is, but for paths, addresses, and a rate that no machine is too slow for."""
    command = [tool("nginx"), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as taken:
        port = taken.server_port
    text = (FILES / "nginx.conf").read_text()
    for ours, here in {
        " /tmp/": f" {folder}/",
        "/run/secrets": str(secrets),
        "service:8000": f"127.0.0.1:{upstream}",
        "listen 8443": f"listen 127.0.0.1:{port}",
        "listen 127.0.0.1:8081": f"listen unix:{folder}/health",
        "rate=50r/s": "rate=1r/m",
    }.items():
        assert ours in text
        text = text.replace(ours, here)
    (folder / "nginx.conf").write_text(text)
    judged = run(*command, "-t")
    assert judged.returncode == 0, judged.stderr
    trusted = ssl.create_default_context(cafile=str(secrets / "tls.crt"))
    with (
        subprocess.Popen([*command, "-g", "daemon off; master_process off;"], stdout=subprocess.DEVNULL) as process,
        httpx.Client(base_url=f"https://localhost:{port}", verify=trusted, timeout=WAIT_SECONDS) as client,
    ):
        try:
            eventually_sync(lambda: listens(client))
            yield client
        finally:
            process.terminate()


@pytest.fixture
def front(secrets: Path, tmp_path: Path) -> Iterator[Front]:
    service = Service()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(service)) as upstream:
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        try:
            with nginx_before(upstream.server_port, secrets, tmp_path) as client:
                yield Front(client, service)
        finally:
            upstream.shutdown()


def listens(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.ConnectError:
        return False


def handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.seen.append(dict(self.headers))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b"data: first\n\n")
            if self.path == "/stream":
                service.heard.wait(WAIT_SECONDS)
                self.wfile.write(b"data: second\n\n")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name that http.server gives it
            pass

    return Handler


def test_an_event_of_a_stream_arrives_before_the_next_is_sent(front: Front) -> None:
    with front.client.stream("GET", "/stream") as answer:
        parts = answer.iter_bytes()
        assert next(parts) == b"data: first\n\n"
        front.service.heard.set()
        assert b"".join(parts) == b"data: second\n\n"


def test_the_service_hears_the_clients_address_and_not_what_the_client_claims(front: Front) -> None:
    front.client.get("/", headers={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"})
    seen = front.service.seen[-1]
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Proto"] == "https"
    assert seen["Host"] == front.client.base_url.netloc.decode()


def test_an_address_that_asks_too_often_is_told_so_in_the_services_own_words(front: Front) -> None:
    answers = [front.client.get("/") for _ in range(110)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 5 <= len(refused) <= 11
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].json()["error"]["code"] == "limit_reached"


def test_a_request_larger_than_the_service_takes_ends_at_the_door(front: Front) -> None:
    before = len(front.service.seen)
    assert front.client.post("/", content=b"x" * (1_048_576 + 1)).status_code == 413
    assert len(front.service.seen) == before


def test_with_a_key_of_the_documented_command_a_run_is_streamed_through_nginx(secrets: Path) -> None:
    with open_folder() as folder:
        services = Services(folder)
        running = services.start(auth="on", trusted_proxies="127.0.0.1/32")
        try:
            made = services.command("keys", "create", "--user", "me")
            upstream = httpx.URL(running.url).port
            assert upstream is not None
            with nginx_before(upstream, secrets, folder) as client:
                question = {"messages": [{"role": "user", "content": "How do I reset my password?"}]}
                body = {"assistant_id": "support_triage", "input": question}
                assert client.post("/runs/stream", json=body).status_code == 401
                client.headers["Authorization"] = f"Bearer {made.stdout.strip()}"
                answer = client.post("/runs/stream", json=body)
                assert answer.status_code == 200, answer.text
                assert answer.headers["content-type"].startswith("text/event-stream")
                assert "password" in answer.text
        finally:
            running.process.terminate()
            running.process.wait(WAIT_SECONDS)
