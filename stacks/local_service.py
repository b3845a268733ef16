"""The service of this checkout as a background process: started, waited for, found again, stopped."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO

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
    return service if _lives(folder, service) else None


def start(folder: Path, port: int, report: Report) -> Service:
    """Start the service and wait until it is ready. Refuses a port in use; says why when it stops at once."""
    require_free(port)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "service.log"
    with log.open("ab") as output, (folder / "service.lock").open("a") as lock:
        # The child keeps the lock open as long as it lives: unlike a process id, it cannot come to mean another process.
        _lock(lock)
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve", "--port", str(port)],
            cwd=ROOT,
            env=os.environ | {contract.ENV_DATA_DIRECTORY: str(folder / "postgres")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[lock.fileno()],
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
            raise Refused(f"the service is not ready after {START_SECONDS:.0f} s: {reason}", Exit.FAILED)
        report(f"starting the service: {reason}", 0, None)
        time.sleep(POLL_SECONDS)


def readiness(address: str) -> tuple[bool, str]:
    """Whether the service answers that it is ready, and what it says."""
    try:
        with urllib.request.urlopen(address + contract.READY_PATH, timeout=5) as answer:  # noqa: S310  loopback only
            return answer.status == 200, "ready"
    except urllib.error.HTTPError as error:
        return False, error.read(2000).decode(errors="replace")
    except OSError as error:
        return False, f"no answer yet ({error})"


def stop(folder: Path, report: Report) -> Service | None:
    """Stop the service as Kubernetes would: SIGTERM, time to drain, then SIGKILL. None when it was not running."""
    service = running(folder)
    if service is None:
        return None
    deadline = time.monotonic() + STOP_SECONDS
    os.kill(service.pid, signal.SIGTERM)
    while _lives(folder, service):
        report("stopping the service: it finishes what it is doing", 0, None)
        if time.monotonic() > deadline:
            os.kill(service.pid, signal.SIGKILL)
            deadline += STOP_SECONDS
        time.sleep(POLL_SECONDS)
    return service


def require_free(port: int) -> None:
    """Refuse a port that cannot be listened on, with its holder when this system tells."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            what = f"in use{_holder_text(port)}" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
            remedy = f"Stop that, or choose another port: make up PORT={_free_port()}."
            raise Refused(f"port={port}: {what}. {remedy}", Exit.MISSING) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _holder_text(port: int) -> str:
    """The process that listens on the port, as far as Linux shows it to this user."""
    sockets = {
        f"socket:[{fields[9]}]"
        for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
        if table.exists()
        for fields in map(str.split, table.read_text().splitlines()[1:])
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port  # 0A: listening
    }
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) in sockets:
                process = descriptor.parent.parent
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f" by process {process.name} ({command[:80]})"
        except OSError:  # gone meanwhile, or another user's
            continue
    return ""


def _lives(folder: Path, service: Service) -> bool:
    with (folder / "service.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            return False
    try:
        os.kill(service.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _lock(lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused("another make up is starting the service. Wait for it to end.", Exit.FAILED) from None


def _tail(log: Path | None) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-5:]) if log else ""


def _known(code: int) -> int:
    return code if code in set(Exit) else Exit.FAILED
