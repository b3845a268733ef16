"""The service of this checkout as a background process: started, waited for, found again, stopped."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from app import contract
from stacks.configuration import ROOT
from stacks.terminal import Exit, Refused
from tools.activity import Report

START_SECONDS = 90.0  # a first start makes the database cluster, on a slow disk too
STOP_SECONDS = contract.DRAIN_SECONDS + 15.0  # what it may drain, and its database after that
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Service:
    pid: int
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def running(folder: Path) -> Service | None:
    """The service that was started from this folder, if its process still lives."""
    try:
        record = json.loads((folder / "service.json").read_text())
        service = Service(int(record["pid"]), int(record["port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return service if _process(service) else None


def _environment() -> dict[str, str]:
    """Without the database that another project of this shell means: this service would make its tables there."""
    return {name: value for name, value in os.environ.items() if name not in contract.OTHER_NAMES}


def start(folder: Path, port: int, report: Report) -> Service:
    """Start the service and wait until it is ready. Refuses a port in use; says why when it stops at once."""
    require_free(port)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "service.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *_command(port)],
            cwd=ROOT,
            env=_environment() | {contract.ENV_DATA_DIRECTORY: str(folder / "postgres")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    service = Service(process.pid, port)
    (folder / "service.json").write_text(json.dumps({"pid": service.pid, "port": port}) + "\n")
    wait_until_ready(service, report, process, log)
    return service


def wait_until_ready(
    service: Service, report: Report, process: subprocess.Popen[bytes] | None = None, log: Path | None = None
) -> None:
    """Return when every dependency of the service is ready; Refused with its own words when that does not come."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        ready, reason = readiness(service.address)
        if ready:
            return
        if process is not None and process.poll() is not None:
            raise Refused(f"the service stopped at once:\n{_tail(log)}", Exit(_known(process.returncode)))
        if time.monotonic() > deadline:
            raise Refused(f"{service.address} is not ready after {START_SECONDS:.0f} s: {reason}", Exit.FAILED)
        report(f"starting the service: {reason}", 0, None)
        time.sleep(POLL_SECONDS)


def readiness(address: str) -> tuple[bool, str]:
    """Whether the service answers that it is ready, and what it says."""
    try:
        with urllib.request.urlopen(address + contract.READY_PATH, timeout=5) as answer:  # noqa: S310  loopback only
            return answer.status == 200, "ready"
    except urllib.error.HTTPError as error:
        return False, _unready_text(error.read(10_000))
    except OSError:
        return False, "no answer yet"


def _unready_text(body: bytes) -> str:
    """What /ready says of each dependency that is not."""
    try:
        checks: dict[str, dict[str, Any]] = json.loads(body)["checks"]
        return "; ".join(f"{name}: {check['reason']}" for name, check in checks.items() if not check["ok"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:200]


def stop(folder: Path, report: Report) -> Service | None:
    """Stop the service as Kubernetes would: SIGTERM, time to drain, then SIGKILL. None when it was not running."""
    service = running(folder)
    process = _process(service) if service else None
    if process is None:
        return None
    report("stopping the service: it finishes what it is doing", 0, None)
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
    return service


def require_free(port: int) -> None:
    """Refuse a port that cannot be listened on, with its holder when this system tells."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            what = f"in use{_holder_text(port)}" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
            remedy = f"Stop that, or choose another port: make up PORT={free_port()}."
            raise Refused(f"port={port}: {what}. {remedy}", Exit.MISSING) from None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _holder_text(port: int) -> str:
    """The process that listens on the port, as far as the system shows it to this user."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                command = " ".join(psutil.Process(connection.pid).cmdline())
                return f" by process {connection.pid} ({command[:80]})"
    except psutil.Error:  # another user's, or a system that asks for more rights
        pass
    return ""


def _command(port: int) -> list[str]:
    return ["-m", "app", "serve", "--port", str(port)]


def _process(service: Service) -> psutil.Process | None:
    """The service's process; the command line is compared, for its id may by now belong to any program."""
    try:
        process = psutil.Process(service.pid)
        ours = process.cmdline()[1:] == _command(service.port)
    except psutil.Error:
        return None
    return process if ours else None


def _tail(log: Path | None) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-5:]) if log else ""


def _known(code: int) -> int:
    return code if code in set(Exit) else Exit.FAILED
